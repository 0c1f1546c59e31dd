// live.mp4 of a camera in a <video>, by a WebSocket and Media Source Extensions: nothing is decoded but here.
import { FrameEvents, type ShownFrame } from './mp4-events.ts'

/** What waits to be appended. Beyond it, the stream restarts. */
const QUEUE_BYTES_MAX = 16 * 2 ** 20
/** Kept behind what is shown, and cut when it is twice as much. */
const BEHIND_S = 4
/** Behind the end of what has come: where frames come evenly, one is enough. */
const LAG_S = 0.06
/** From `LAG_S` on, the video is played a little faster; further behind, it jumps. */
const LAG_MAX_S = 0.7
const FASTER = 1.08
/** A jump decodes from the last keyframe on. On a slow computer that takes as long as what it gains, so it is then played faster for a while. */
const JUMP_SPACING_MS = 10_000
const MUCH_FASTER = 1.25
const CHASE_MS = 200
/** Nothing came for so long: the connection is tried again. */
const SILENCE_MS = 10_000

export type PlayerEvents = {
  /** A frame is on the screen. */
  onFrame: (frame: ShownFrame | undefined) => void
  /** The stream has ended; `message` for a person, where the gateway gave one. Stop it, and try again. */
  onEnd: (message: string | undefined) => void
  /** This browser cannot play it. */
  onUnsupported: (type: string) => void
}

export class StreamPlayer {
  readonly #video: HTMLVideoElement
  readonly #events: PlayerEvents
  readonly #source = new MediaSource()
  readonly #url = URL.createObjectURL(this.#source)
  readonly #socket: WebSocket
  readonly #frames = new FrameEvents()
  readonly #timer: number
  #buffer: SourceBuffer | undefined
  #type = ''
  #queue: ArrayBuffer[] = []
  #queued = 0
  #lastMs = performance.now()
  #delayS = 0
  #isOver = false
  #jumpedMs = -Infinity

  /** `path`: of the stream. */
  constructor(video: HTMLVideoElement, path: string, events: PlayerEvents) {
    this.#video = video
    this.#events = events
    this.#socket = new WebSocket(new URL(path, location.href.replace(/^http/, 'ws')))
    this.#socket.binaryType = 'arraybuffer'
    this.#socket.addEventListener('message', ({ data }) => (typeof data === 'string' ? this.#begin(data) : this.#push(data as ArrayBuffer)))
    this.#socket.addEventListener('close', () => this.#end())
    this.#source.addEventListener('sourceopen', () => this.#open())
    this.#timer = window.setInterval(() => this.#chase(), CHASE_MS)
    video.src = this.#url
    video.requestVideoFrameCallback((_, { mediaTime }) => this.#shown(mediaTime))
  }

  /** How far behind the camera the video should be, in seconds, for what comes later than the frames. */
  set delayS(seconds: number) {
    this.#delayS = seconds
  }

  /** The last frame stays in the video until it gets another source. */
  stop(): void {
    if (this.#isOver) return
    this.#isOver = true
    clearInterval(this.#timer)
    this.#socket.close()
    this.#video.pause()
    this.#video.removeAttribute('src')
    this.#video.load()
    URL.revokeObjectURL(this.#url)
    this.#queue = []
  }

  #end(message?: string): void {
    if (!this.#isOver) this.#events.onEnd(message)
  }

  #begin(text: string): void {
    const said = JSON.parse(text) as { type?: string; message?: string }
    if (said.type === undefined) return this.#end(said.message)
    this.#type = said.type
    if (!MediaSource.isTypeSupported(said.type)) {
      this.stop()
      return this.#events.onUnsupported(said.type)
    }
    this.#open()
  }

  #open(): void {
    if (this.#isOver || this.#buffer !== undefined || this.#type === '' || this.#source.readyState !== 'open') return
    this.#buffer = this.#source.addSourceBuffer(this.#type)
    this.#buffer.addEventListener('updateend', () => this.#append())
    this.#buffer.addEventListener('error', () => this.#end())
    this.#append()
  }

  #push(bytes: ArrayBuffer): void {
    this.#lastMs = performance.now()
    this.#frames.read(bytes)
    this.#queue.push(bytes)
    this.#queued += bytes.byteLength
    if (this.#queued > QUEUE_BYTES_MAX) return this.#end()
    this.#append()
  }

  #append(): void {
    const buffer = this.#buffer
    if (buffer === undefined || buffer.updating || this.#isOver) return
    try {
      const { buffered } = buffer
      if (buffered.length > 0 && this.#video.currentTime - buffered.start(0) > 2 * BEHIND_S) {
        return buffer.remove(0, this.#video.currentTime - BEHIND_S)
      }
      const next = this.#queue.shift()
      if (next === undefined) return this.#chase()
      this.#queued -= next.byteLength
      buffer.appendBuffer(next)
    } catch {
      this.#end() // no room, or a broken stream: restart
    }
  }

  /** Keeps what is shown near to what comes. */
  #chase(): void {
    const video = this.#video
    if (performance.now() - this.#lastMs > SILENCE_MS) return this.#end()
    const { buffered } = video
    if (buffered.length === 0 || video.seeking) return
    const [start, end] = [buffered.start(buffered.length - 1), buffered.end(buffered.length - 1)]
    const lag = end - video.currentTime
    const wanted = this.#delayS + LAG_S
    const isFar = lag > wanted + LAG_MAX_S
    const mayJump = performance.now() - this.#jumpedMs > JUMP_SPACING_MS
    const isEarly = lag < wanted - LAG_MAX_S && end - wanted > start
    if ((isFar && mayJump) || isEarly || video.currentTime < start) {
      this.#jumpedMs = performance.now()
      video.currentTime = Math.max(start, end - wanted)
    }
    video.playbackRate = isFar ? MUCH_FASTER : lag > wanted + LAG_S ? FASTER : lag < wanted - LAG_S ? 1 / FASTER : 1
    if (video.paused) void video.play().catch(() => {})
  }

  #shown(mediaTime: number): void {
    if (this.#isOver) return
    this.#events.onFrame(this.#frames.at(mediaTime))
    this.#video.requestVideoFrameCallback((_, { mediaTime: next }) => this.#shown(next))
  }
}
