// What is wrong with the annotation queue, told to the operator, which says it in the status of Cameras.
import { sleep } from '../../common/abort.ts'
import type { Nats } from '../../common/nats/connect.ts'
import type { Cause } from '../../proto/reasons.ts'
import { encodeState, MESSAGE_MAX } from '../../proto/state.ts'
import { GATEWAY_PROBLEMS } from '../../proto/subjects.ts'

const EVERY_MS = 5_000

/** Until `signal` aborts. While all is well nothing is sent, but for the end of a problem. */
export async function reportProblem(nats: Nats, gateway: string, problem: () => Cause | undefined, signal: AbortSignal): Promise<void> {
  for (let before: Cause | undefined; !signal.aborted;) {
    const now = problem()
    if (nats.connected() && (now ?? before) !== undefined) {
      const annotations = now && { ...now, message: now.message.slice(0, MESSAGE_MAX) }
      nats.nc.publish(GATEWAY_PROBLEMS, encodeState({ v: 1, gateway, annotations }))
      before = now
    }
    await sleep(EVERY_MS, signal)
  }
}
