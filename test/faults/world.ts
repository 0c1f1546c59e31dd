// The product as faults find it: two cameras, each watched all the time by a client of its own, which notes when frames came.
import { setTimeout as delay } from 'node:timers/promises'
import { startCameras } from '../fixtures/cameras.ts'
import { grpcClient, startGateway, type Client, type Gateway } from '../fixtures/gateway.ts'
import { startNats, type NatsOptions, type NatsServer } from '../fixtures/nats.ts'
import { descendants } from '../fixtures/processes.ts'
import { startSidecar, type Sidecar } from '../fixtures/sidecar.ts'
import { until } from '../fixtures/wait.ts'

/** A pause that a person would notice. */
const GAP_MS = 500
/** Frames for so long, without a longer pause than STEADY_GAP_MS: it works again. */
const STEADY_MS = 3_000
const STEADY_GAP_MS = 1_000

export type Where = 'Gateway' | 'Sidecar'

export class World implements AsyncDisposable {
  readonly nats: NatsServer
  readonly door: Sidecar
  readonly yard: Sidecar
  gateway: Gateway
  readonly #stack: AsyncDisposableStack
  readonly #over = new AbortController()
  readonly #arrivals = new Map<string, number[]>()

  private constructor(parts: { nats: NatsServer; door: Sidecar; yard: Sidecar; gateway: Gateway }, stack: AsyncDisposableStack) {
    this.nats = parts.nats
    this.door = parts.door
    this.yard = parts.yard
    this.gateway = parts.gateway
    this.#stack = stack
  }

  static async start({
    where = 'Gateway',
    nats: options = {},
    door = {},
  }: { where?: Where; nats?: NatsOptions; door?: { env?: Record<string, string>; url?: string; root?: string } } = {}): Promise<World> {
    await using stack = new AsyncDisposableStack()
    const nats = stack.use(await startNats(options))
    const spec = (url = 'testsrc:?size=320x180&rate=15&gop=15') => ({ source: { url } })
    const uid = (digit: string) => `${digit.repeat(8)}-1111-4111-8111-111111111111`
    const { url, ...rest } = door
    const sidecars = await Promise.all([
      startSidecar(nats, { name: 'door', uid: uid('1'), spec: spec(url), ...rest }),
      startSidecar(nats, { name: 'yard', uid: uid('2'), spec: spec() }),
    ])
    for (const sidecar of sidecars) stack.use(sidecar)
    const cameras = stack.use(await startCameras(nats.url))
    for (const { camera } of sidecars) await cameras.put(camera, { decoding: { keyFramesOnly: false, placement: where } })
    const [first, second] = sidecars as [Sidecar, Sidecar]
    return new World({ nats, door: first, yard: second, gateway: await startGateway(nats.url) }, stack.move())
  }

  /** Begins to watch a camera, and returns when frames come. */
  async watch(name: 'door' | 'yard'): Promise<void> {
    const arrivals: number[] = []
    this.#arrivals.set(name, arrivals)
    const watching = this.#watch(name, arrivals)
    this.#stack.defer(() => watching)
    await until(() => arrivals.length > 20, { what: `frames of ${name}\n${this.gateway.log().slice(-1500)}`, timeoutMs: 60_000 })
  }

  /** ffmpegs of the gateway that decode. */
  decoders(): number[] {
    return descendants(this.gateway.pid).flatMap(({ pid, command }) => (command.includes('-f nut') ? [pid] : []))
  }

  /** Milliseconds from `since` until frames of the camera came steadily again; 0 where nobody could notice a pause. */
  async recovered(name: 'door' | 'yard', since: number, limitMs: number): Promise<number> {
    const arrivals = this.#arrivals.get(name) ?? []
    return until(
      () => {
        const now = performance.now()
        const after = [since, ...arrivals.filter(at => at > since), now]
        const gaps = after.slice(1).map((at, i) => ({ at, ms: at - (after[i] ?? at) }))
        const isSteady = now - since > STEADY_MS && !gaps.some(({ at, ms }) => at > now - STEADY_MS && ms > STEADY_GAP_MS)
        const last = gaps.findLast(({ ms }) => ms > GAP_MS)
        return isSteady ? { ms: last === undefined ? 0 : last.at - since } : undefined
      },
      { what: `steady frames of ${name}`, timeoutMs: limitMs + STEADY_MS, everyMs: 100 },
    ).then(({ ms }) => ms)
  }

  /** The longest pause of a camera since then. */
  longestGapMs(name: 'door' | 'yard', since: number): number {
    const after = [since, ...(this.#arrivals.get(name) ?? []).filter(at => at > since), performance.now()]
    return Math.max(...after.slice(1).map((at, i) => at - (after[i] ?? at)))
  }

  /** `root`: the checkout that it runs from. */
  async restartGateway(root?: string): Promise<void> {
    await this.gateway.stop('SIGKILL')
    this.gateway = await startGateway(this.nats.url, {}, root)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#over.abort()
    await this.#stack.disposeAsync()
    await this.gateway.stop()
  }

  async #watch(name: string, arrivals: number[]): Promise<void> {
    let client: Client | undefined
    let port = 0
    while (!this.#over.signal.aborted) {
      try {
        if (client === undefined || port !== this.gateway.port) {
          await client?.[Symbol.asyncDispose]()
          port = this.gateway.port
          client = grpcClient(port)
        }
        const { data } = await client.latest({ device_id: name })
        if (data.length > 0) arrivals.push(performance.now())
      } catch {
        await delay(50)
      }
    }
    await client?.[Symbol.asyncDispose]()
  }
}
