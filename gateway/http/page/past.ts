// The past of a camera on a screen: a frame of any time, the next and the one before, and clips, one after another.
import { clock, pathOf, type Camera } from './cameras.ts'
import { make } from './dom.ts'
import { FrameEvents, type ShownFrame } from './mp4-events.ts'
import type { Screen } from './screen.ts'
import { still, StillError } from './stills.ts'

export type Stretch = { from: number; to: number; source: 'buffer' | 'archive' }
export type PastExtent = { from: number; to: number; archive: string; stretches: Stretch[]; gaps: { from: number; to: number }[] }

const CLIP_MS = 15_000
/** The next clip is asked for when so much is left. */
const AHEAD_S = 5
/** Where a clip cannot be played, so many JPEGs a second are. */
const STILLS_FPS = 4
const PLAYABLE = ['h264', 'hevc', 'av1']

type Clip = { url: string; beginMs: number; fromMs: number; frames: FrameEvents }
export type PastEvents = {
  onFrame: (frame: ShownFrame) => void
  /** Nothing is left to be played: what comes next is live. */
  onLive: () => void
  onProblem: (message: string) => void
}

export class PastPlayer {
  readonly #screen: Screen
  readonly #video = make('video', 'picture past')
  readonly #events: PastEvents
  readonly #camera: Camera
  #frame: ShownFrame = { id: '', captureTime: 0 }
  #playing: AbortController | undefined
  #wantedMs: number | undefined
  #isAsking = false
  #gone = new AbortController()
  stretches: readonly Stretch[] = []

  constructor(screen: Screen, camera: Camera, events: PastEvents) {
    this.#screen = screen
    this.#camera = camera
    this.#events = events
    Object.assign(this.#video, { muted: true, playsInline: true })
    screen.video.after(this.#video)
  }

  get isPlaying(): boolean {
    return this.#playing !== undefined
  }

  get frame(): ShownFrame {
    return this.#frame
  }

  get #intervalMs(): number {
    return 1000 / (this.#camera.fps ?? 25)
  }

  /** The frame of a time. Asked for quickly one after another, the last one counts. */
  async seek(ms: number): Promise<void> {
    this.pause()
    this.#wantedMs = ms
    if (this.#isAsking) return
    this.#isAsking = true
    try {
      while (this.#wantedMs !== undefined) {
        const wanted = this.#wantedMs
        this.#wantedMs = undefined
        await this.#ask(wanted, 10)
      }
    } finally {
      this.#isAsking = false
    }
  }

  /** To the frame after, or before, the one that is shown. */
  async step(direction: 1 | -1): Promise<void> {
    this.pause()
    const { captureTime, id } = this.#frame
    if (direction < 0) return await this.#ask(captureTime - 1, 60)
    // The next one is looked for a little further each time: what is given is the last up to a time.
    for (const intervals of [0.3, 0.6, 1.1, 1.6, 2.1, 4.1, 8.1]) {
      await this.#ask(captureTime + intervals * this.#intervalMs, 10, id)
      if (this.#frame.id !== id) return
    }
    const next = this.stretches.find(({ from }) => from > captureTime)
    if (next !== undefined) await this.#ask(next.from + this.#intervalMs, 10)
  }

  pause(): void {
    this.#playing?.abort()
    this.#playing = undefined
    this.#video.pause()
  }

  async play(): Promise<void> {
    this.pause()
    const playing = new AbortController()
    this.#playing = playing
    const canPlay = PLAYABLE.includes(this.#camera.codec ?? '')
    await (canPlay ? this.#playClips(playing.signal) : this.#playStills(playing.signal)).catch((error: unknown) => {
      if (!playing.signal.aborted) this.#events.onProblem(error instanceof Error ? error.message : String(error))
    })
    if (this.#playing === playing) this.#playing = undefined
  }

  dispose(): void {
    this.pause()
    this.#gone.abort()
    this.#video.removeAttribute('src')
    this.#video.load()
    this.#video.remove()
    this.#screen.node.classList.remove('replaying')
  }

  /** `known`: the id of a frame that need not be given again. */
  async #ask(ms: number, maxAgeS: number, known?: string): Promise<void> {
    const url = `${pathOf(this.#camera)}/frame.jpg?at=${Math.floor(ms)}&max-age=${maxAgeS}`
    try {
      const shown = await still(url, known || undefined, this.#gone.signal)
      if (shown === undefined) return
      this.#frame = { id: shown.id, captureTime: shown.captureTime }
      this.#screen.draw(shown)
      this.#screen.node.classList.remove('replaying')
      this.#events.onFrame(this.#frame)
    } catch (error) {
      if (!this.#gone.signal.aborted) this.#events.onProblem(error instanceof StillError ? error.problem.message : 'no answer')
    }
  }

  async #playStills(signal: AbortSignal): Promise<void> {
    const [beganMs, fromMs] = [performance.now(), this.#frame.captureTime]
    while (!signal.aborted) {
      const startMs = performance.now()
      const at = fromMs + startMs - beganMs
      if (at > clock.now() - 1_000) return this.#events.onLive()
      await this.#ask(at, 10)
      await new Promise(resolve => setTimeout(resolve, Math.max(0, 1000 / STILLS_FPS - (performance.now() - startMs))))
    }
  }

  async #playClips(signal: AbortSignal): Promise<void> {
    let clip = await this.#fetch(this.#frame.captureTime, signal)
    while (!signal.aborted) {
      if (clip === undefined) return this.#events.onLive()
      clip = await this.#show(clip, signal)
    }
  }

  /** Plays a clip to its end, and gives the next one. Undefined: there is none, or `signal` has aborted. */
  async #show(clip: Clip, signal: AbortSignal): Promise<Clip | undefined> {
    const video = this.#video
    const { promise: ended, resolve, reject } = Promise.withResolvers<void>()
    const over = new AbortController()
    const options = { signal: AbortSignal.any([over.signal, signal]) }
    let next: Promise<Clip | undefined> | undefined
    const follow = () => {
      next ??= this.#fetch(clip.beginMs + video.duration * 1000 + 1, signal)
      next.catch(() => {})
    }
    video.addEventListener('ended', () => resolve(), options)
    video.addEventListener('error', () => reject(new Error('this browser cannot play the clip')), options)
    video.addEventListener('timeupdate', () => video.duration - video.currentTime < AHEAD_S && follow(), options)
    video.addEventListener('seeked', () => this.#screen.node.classList.add('replaying'), options)
    signal.addEventListener('abort', () => resolve())
    const shown: VideoFrameRequestCallback = (_, { mediaTime }) => {
      if (options.signal.aborted) return
      this.#frame = clip.frames.at(mediaTime) ?? { id: '', captureTime: clip.beginMs + mediaTime * 1000 }
      this.#events.onFrame(this.#frame)
      video.requestVideoFrameCallback(shown)
    }
    try {
      video.src = clip.url
      video.currentTime = Math.max(0, (clip.fromMs - clip.beginMs) / 1000)
      video.requestVideoFrameCallback(shown)
      await video.play().catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
      await ended
      if (signal.aborted) return undefined
      follow()
      return await next
    } finally {
      over.abort()
      URL.revokeObjectURL(clip.url)
    }
  }

  /** The clip from a time on, or from the next stretch's begin. Undefined: there is none. */
  async #fetch(fromMs: number, signal: AbortSignal): Promise<Clip | undefined> {
    if (fromMs > clock.now() - 1_500) return undefined
    const answer = await fetch(`${pathOf(this.#camera)}/clip.mp4?from=${Math.floor(fromMs)}&to=${Math.floor(fromMs + CLIP_MS)}`, { signal })
    if (answer.status === 404) {
      const next = this.stretches.find(({ from }) => from > fromMs)
      return next === undefined ? undefined : await this.#fetch(next.from + 1, signal)
    }
    if (!answer.ok) throw new Error(((await answer.json()) as { message: string }).message)
    const beginMs = Date.parse(answer.headers.get('x-capture-time') ?? '')
    const bytes = await answer.arrayBuffer()
    const frames = new FrameEvents()
    frames.read(bytes)
    return { beginMs, fromMs, frames, url: URL.createObjectURL(new Blob([bytes], { type: 'video/mp4' })) }
  }
}
