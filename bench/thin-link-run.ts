// Inside the network namespace: makes the link, then measures over it.
import { execFile } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { account, PICTURES, type Account, type ChainEnv, type Counts, type Picture } from './chain.ts'
import { delivery, type Delivery } from './clients.ts'
import { between, total } from './counters.ts'
import { startStage, type Stage } from './stage.ts'
import { measureUsage, type Usage } from './usage.ts'

const run = promisify(execFile)

export const LINK_MBIT = 941
/** An address of the loopback device that only the gateway uses, and only for NATS. */
const FAR_SIDE = '127.0.0.2'
const WARM_UP_MS = 4_000

const PLACEMENTS = ['Sidecar', 'Gateway'] as const
export const LINKED: readonly { picture: Picture; placement: (typeof PLACEMENTS)[number] }[] = [
  PICTURES['1080p30'],
  PICTURES['720p30'],
].flatMap(picture => PLACEMENTS.map(placement => ({ picture, placement })))

export type LinkOptions = { seconds: number; env: ChainEnv }
export type LinkRow = {
  picture: string
  placement: string
  client: Delivery
  usage: Usage
  account: Account
  /** 10⁶ bytes a second that crossed the link, both ways. */
  linkMBs: number
  /** Frames that NATS took from the sidecar and the gateway did not get. */
  lost: number
  /** Times that NATS hung up on the gateway, as it does when too much waits for it. */
  hangUps: number
}

export async function measureLinked({ seconds, env }: LinkOptions): Promise<LinkRow[]> {
  await makeLink()
  const rows: LinkRow[] = []
  for (const { picture, placement } of LINKED) {
    await using stage = await startStage({ picture, env, decoding: { placement }, gatewaysNatsHost: FAR_SIDE })
    const camera = await stage.addCamera()
    await stage.addClients(camera, 1)
    await delay(WARM_UP_MS)
    const before = await stage.counts(camera)
    const hungUp = hangUps(stage)
    const [fromMs, fromBytes] = [Date.now(), await linkBytes()]
    const usage = await measureUsage(stage.cast, seconds)
    const [toMs, toBytes] = [Date.now(), await linkBytes()]
    const after = await stage.counts(camera)
    rows.push({
      ...{ picture: picture.name, placement, usage },
      client: delivery(stage.clients[0]?.seen ?? [], fromMs, toMs, picture.fps),
      account: account(before, after),
      lost: lost(before, after),
      hangUps: hangUps(stage) - hungUp,
      linkMBs: (toBytes - fromBytes) / 1000 / (toMs - fromMs),
    })
  }
  return rows
}

/** What is on its way at the end is not lost, nor was it at the beginning: off by a frame or two. */
const lost = (before: Counts, after: Counts): number =>
  Math.max(
    0,
    total(between(before.sidecar, after.sidecar), 'chrysalis_frames_published_total') -
      total(between(before.gateway, after.gateway), 'chrysalis_frames_received_total'),
  )

const hangUps = ({ gateway }: Stage): number => gateway.log().split('"NATS is unreachable"').length - 1

/** Everything to and from the far side, each way a link of its own; all else passes as before. */
async function makeLink(): Promise<void> {
  await run('ip', ['link', 'set', 'lo', 'up'])
  await tc('qdisc add dev lo root handle 1: htb default 0')
  for (const [id, side] of [
    [1, 'src'],
    [2, 'dst'],
  ]) {
    await tc(`class add dev lo parent 1: classid 1:${id} htb rate ${LINK_MBIT}mbit burst 256k cburst 256k quantum 65536`)
    await tc(`filter add dev lo parent 1: protocol ip prio ${id} u32 match ip ${side} ${FAR_SIDE}/32 flowid 1:${id}`)
  }
}

async function linkBytes(): Promise<number> {
  const said = await tc('-s class show dev lo')
  return [...said.matchAll(/Sent (\d+) bytes/g)].reduce((total, [, bytes]) => total + Number(bytes), 0)
}

const tc = async (words: string): Promise<string> => (await run('tc', words.split(' '))).stdout
