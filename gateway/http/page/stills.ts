// Frames as JPEGs, one by one: for the past, and live where a browser cannot play the camera's codec.
import type { ShownFrame } from './mp4-events.ts'

/** At once, of the whole page: browsers allow six connections to a host. */
const ASKED_MAX = 3
const TIMEOUT_MS = 15_000

export type Still = ShownFrame & { readonly image: ImageBitmap }
export type Problem = { reason: string; message: string; advice?: string }
export class StillError extends Error {
  readonly problem: Problem
  constructor(problem: Problem) {
    super(problem.message)
    this.problem = problem
  }
}

const waiting: (() => void)[] = []
let asked = 0

async function inTurn<T>(act: () => Promise<T>): Promise<T> {
  if (asked >= ASKED_MAX) await new Promise<void>(resolve => waiting.push(resolve))
  asked++
  try {
    return await act()
  } finally {
    asked--
    waiting.shift()?.()
  }
}

/** Undefined: it is the one that `known` names. Rejects with a StillError where there is no frame. */
export function still(url: string, known: string | undefined, signal: AbortSignal): Promise<Still | undefined> {
  return inTurn(async () => {
    signal.throwIfAborted()
    const headers = known === undefined ? {} : { 'if-none-match': `"${known}"` }
    const answer = await fetch(url, { cache: 'no-store', headers, signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]) })
    if (answer.status === 304) return undefined
    if (!answer.ok) throw new StillError((await answer.json()) as Problem)
    const image = await createImageBitmap(await answer.blob())
    return { image, id: answer.headers.get('x-frame-id') ?? '', captureTime: Date.parse(answer.headers.get('x-capture-time') ?? '') }
  })
}

/** Live, so many a second at most, until `signal` aborts. */
export async function stills(
  url: string,
  { fps, onStill, onProblem }: { fps: number; onStill: (still: Still) => void; onProblem: (problem: Problem) => void },
  signal: AbortSignal,
): Promise<void> {
  let known: string | undefined
  while (!signal.aborted) {
    const startMs = performance.now()
    let pauseMs = 1000 / fps
    try {
      const next = await still(url, known, signal)
      if (signal.aborted) return next?.image.close()
      if (next !== undefined) onStill(next)
      known = next?.id ?? known
    } catch (error) {
      if (error instanceof StillError) onProblem(error.problem)
      pauseMs = 2_000
    }
    await new Promise(resolve => setTimeout(resolve, Math.max(0, startMs + pauseMs - performance.now())))
  }
}
