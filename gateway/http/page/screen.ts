// Where a camera is seen: live as video, or as JPEGs where the browser cannot play it; and the last frame, dimmed, while nothing comes.
import { clock, ageText, pathOf, type Camera } from './cameras.ts'
import { make, setText } from './dom.ts'
import type { ShownFrame } from './mp4-events.ts'
import { StreamPlayer } from './stream-player.ts'
import { stills, type Still } from './stills.ts'

const PLAYABLE = ['h264', 'hevc', 'av1']
/** After the end of a stream: soon at first. */
const RETRY_MS = [300, 1_000, 2_000, 4_000]
/** A live frame that is older is no live frame any more. */
const STALE_MS = 3_000
/** Videos that this browser turned out not to play. */
const unplayable = new Set<string>()
/** Videos at once on the whole page; more cameras in view are JPEGs. */
const VIDEOS_MAX = 16
let videos = 0

export type ScreenOptions = {
  /** Of JPEGs, in pixels, and so many a second. */
  width: number
  fps: number
  /** Shown as video however many are. */
  isLarge?: true
  onFrame?: (frame: ShownFrame | undefined) => void
}

export class Screen {
  readonly node: HTMLDivElement
  readonly video = make('video', 'picture')
  /** JPEGs, and what is left of a video. */
  readonly canvas = make('canvas', 'picture')
  readonly #over = make('span', 'over')
  readonly #badge = make('span', 'badge')
  readonly #options: ScreenOptions
  #camera: Camera | undefined
  #player: StreamPlayer | undefined
  #stills: AbortController | undefined
  #retry = 0
  #failures = 0
  #delayS = 0
  #frame: ShownFrame | undefined
  #shownMs = -Infinity

  constructor(options: ScreenOptions) {
    this.#options = options
    Object.assign(this.video, { muted: true, playsInline: true, disablePictureInPicture: true })
    this.node = make('div', 'screen', this.canvas, this.video, this.#over, this.#badge)
    this.#over.setAttribute('aria-hidden', 'true')
  }

  get isOn(): boolean {
    return this.#camera !== undefined
  }

  /** The frame that is, or was last, on the screen. */
  get frame(): ShownFrame | undefined {
    return this.#frame
  }

  get way(): string {
    if (this.#player !== undefined) return 'as the camera sends it'
    return this.#stills === undefined ? '' : `as JPEG, since this browser cannot play ${this.#camera?.codec ?? 'it'}`
  }

  /** Whether frames come. */
  get isLive(): boolean {
    return this.isOn && performance.now() - this.#shownMs < STALE_MS
  }

  set delayS(seconds: number) {
    this.#delayS = seconds
    if (this.#player !== undefined) this.#player.delayS = seconds
  }

  /** Shows the camera live, from now on. */
  start(camera: Camera): void {
    const isSame = this.#camera?.name === camera.name && this.#camera.codec === camera.codec
    this.#camera = camera
    if (isSame) return
    this.#end()
    this.#failures = 0
    this.#shownMs = -Infinity
    this.#begin()
  }

  /** The last frame stays. */
  stop(): void {
    this.#end()
    this.#camera = undefined
  }

  /** Forgets the last frame too. */
  clear(): void {
    this.stop()
    this.#frame = undefined
    this.#shownMs = -Infinity
    this.canvas.width = 0
    this.say('')
  }

  /** A JPEG in place of what was shown. */
  draw({ image, ...frame }: Still): void {
    Object.assign(this.canvas, { width: image.width, height: image.height })
    this.canvas.getContext('2d')?.drawImage(image, 0, 0)
    image.close()
    this.#shown(frame)
  }

  /** Over the picture, which is dimmed then. An empty text: it is live. */
  say(text: string): void {
    this.node.classList.toggle('stale', text !== '')
    setText(this.#over, text)
  }

  /** What is said while nothing new comes: why, and how old the last frame is. */
  sayWhy(why: string): void {
    const last = this.#frame === undefined ? '' : `last frame ${ageText(clock.now() - this.#frame.captureTime)} ago`
    this.say([why, last].filter(Boolean).join(' · '))
  }

  #begin(): void {
    const camera = this.#camera
    if (camera === undefined) return
    const { codec, width, query } = this.#streamOf(camera)
    const key = `${codec} ${width}`
    const canPlay = PLAYABLE.includes(codec ?? 'h264') && !unplayable.has(key) && 'MediaSource' in window
    setText(this.#badge, canPlay ? '' : `${codec ?? ''} as JPEG`)
    if (!canPlay || (videos >= VIDEOS_MAX && this.#options.isLarge !== true)) return this.#beginStills(camera)
    videos++
    this.#player = new StreamPlayer(this.video, `${pathOf(camera)}/live.mp4${query}`, {
      onFrame: frame => this.#shown(frame),
      onEnd: () => this.#again(),
      onUnsupported: () => {
        unplayable.add(key)
        this.#end()
        this.#begin()
      },
    })
    this.#player.delayS = this.#delayS
  }

  /** A small screen plays the substream, where that is as large and works. */
  #streamOf({ codec, width, substream }: Camera): { codec: string | undefined; width: number | undefined; query: string } {
    const isLarge = this.#options.isLarge === true || (substream?.width ?? 0) < this.#options.width
    if (isLarge || substream?.reason !== undefined || this.#failures > 0) return { codec, width, query: '' }
    return { codec: substream?.codec, width: substream?.width, query: '?stream=sub' }
  }

  #beginStills(camera: Camera): void {
    this.#stills = new AbortController()
    const { width, fps } = this.#options
    const events = { fps, onStill: (next: Still) => this.draw(next), onProblem: () => {} }
    void stills(`${pathOf(camera)}/frame.jpg?width=${Math.min(width, camera.width ?? width)}`, events, this.#stills.signal)
  }

  #again(): void {
    this.#end()
    const waitMs = RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)] ?? 4_000
    this.#retry = window.setTimeout(() => this.#begin(), waitMs)
  }

  #end(): void {
    clearTimeout(this.#retry)
    this.#keepLast()
    if (this.#player !== undefined) videos--
    this.#player?.stop()
    this.#player = undefined
    this.#stills?.abort()
    this.#stills = undefined
    this.node.classList.remove('playing')
  }

  /** The video's last frame goes onto the canvas behind it. */
  #keepLast(): void {
    const { video, canvas } = this
    if (this.#player === undefined || video.videoWidth === 0) return
    const width = Math.min(video.videoWidth, this.#options.width)
    Object.assign(canvas, { width, height: Math.round((width * video.videoHeight) / video.videoWidth) })
    canvas.getContext('2d')?.drawImage(video, 0, 0, canvas.width, canvas.height)
  }

  #shown(frame: ShownFrame | undefined): void {
    this.#shownMs = performance.now()
    this.#failures = 0
    this.node.classList.toggle('playing', this.#player !== undefined)
    if (this.#camera !== undefined) this.say('')
    this.#frame = frame ?? this.#frame
    this.#options.onFrame?.(frame)
  }
}
