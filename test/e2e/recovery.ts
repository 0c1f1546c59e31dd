// When frames come back after a container was killed.
import type { KubeApi } from '../../common/kube/client.ts'
import { until } from '../fixtures/wait.ts'
import { get, getText, type Cluster, type Pod } from './cluster.ts'
import { CLIENT_POD } from './objects.ts'

export type Frame = { at: number; timestamp: number; width: number; height: number }
type Report = { now: number; frames: Frame[]; errors: Record<string, number> }

/** What the client has got since then. */
export const clientReport = async (cluster: Cluster, since: number): Promise<Report> =>
  JSON.parse(await getText(cluster.kubeconfig, `${CLIENT_POD}/proxy/frames?since=${since}`)) as Report

/** Longer without a frame is an interruption: a camera of 15 frames a second, on a machine that has other things to do. */
const GAP_MS = 700
const STEADY_MS = 3_000
const PATIENCE_MS = 90_000

export type Recovery = {
  what: string
  /** From the kill until the last interruption was over, in ms; 0: there was none. */
  backMs: number
  /** The longest time without a frame, in ms. */
  gapMs: number
  /** From the kill until the container was ready again, in ms. */
  readyMs: number
}

/** Pure: the interruptions in `times`, all in ms. */
export function interruption(times: readonly number[], from: number): { backMs: number; gapMs: number } {
  const after = times.filter(at => at >= from)
  let [backMs, gapMs, before] = [0, 0, times.findLast(at => at < from) ?? from]
  for (const at of after) {
    gapMs = Math.max(gapMs, at - before)
    if (at - before > GAP_MS) backMs = at - from
    before = at
  }
  return { backMs, gapMs }
}

/** Kills it, and waits until it is ready again and frames have come steadily for three seconds. */
export async function recoveryOf(cluster: Cluster, pod: Pod, container: string, what: string): Promise<Recovery> {
  const begun = Date.now()
  await cluster.kill(pod, container)
  const readyMs = await until(async () => (await isReadyAgain(cluster.api, pod, container)) && Date.now() - begun, {
    what: `container ${container} of pod ${pod.metadata.name}, killed, to be ready again`,
    timeoutMs: PATIENCE_MS,
    everyMs: 100,
  })
  const times = await steadyFrames(cluster, begun, `frames after container ${container} of pod ${pod.metadata.name} was killed`)
  return { what, readyMs, ...interruption(times, begun) }
}

/** The times of all frames from a little before `from` until they have come steadily for three seconds after `since`. */
export async function steadyFrames(cluster: Cluster, since: number, what: string, from = since): Promise<number[]> {
  return until(
    async () => {
      const { now, frames } = await clientReport(cluster, from - 2_000)
      const times = frames.map(({ at }) => at)
      const recent = [now - STEADY_MS, ...times.filter(at => at > now - STEADY_MS), now]
      const isSteady = now - since > STEADY_MS && recent.every((at, i) => i === 0 || at - (recent[i - 1] ?? at) < GAP_MS)
      return isSteady && times
    },
    { what, timeoutMs: PATIENCE_MS, everyMs: 250 },
  )
}

/** The same pod's container in a new life, or a pod in its place. */
async function isReadyAgain(api: KubeApi, before: Pod, container: string): Promise<boolean> {
  const { namespace, name, labels } = before.metadata
  const selector = Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(',')
  const same = await get<Pod>(api, `/api/v1/namespaces/${namespace}/pods/${name}`)
  const restarts = ({ status }: Pod) => status.containerStatuses?.find(each => each.name === container)
  if (same?.metadata.uid === before.metadata.uid) {
    const now = restarts(same)
    return now?.ready === true && now.restartCount > (restarts(before)?.restartCount ?? 0)
  }
  const { items } = await api.request<{ items: Pod[] }>('GET', `/api/v1/namespaces/${namespace}/pods`, {
    query: { labelSelector: selector },
  })
  return items.some(pod => pod.metadata.uid !== before.metadata.uid && restarts(pod)?.ready === true)
}

/** Lines of a table, as docs/e2e.md has it. */
export const table = (rows: readonly Recovery[]): string[] => [
  '| killed | container ready again | frames back after | longest time without a frame |',
  '| --- | ---: | ---: | ---: |',
  ...rows.map(({ what, readyMs, backMs, gapMs }) => {
    const s = (ms: number) => `${(ms / 1000).toFixed(1)} s`
    return `| ${what} | ${s(readyMs)} | ${backMs === 0 ? 'never away' : s(backMs)} | ${s(gapMs)} |`
  }),
]
