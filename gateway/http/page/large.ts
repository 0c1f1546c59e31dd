// One camera, large: live or any time of its past, with boxes, a timeline, what is known of it, and what models see.
import { Annotations } from './annotations.ts'
import { drawBoxes } from './boxes.ts'
import { clock, exactText, isLive, momentText, pathOf, zone, type Camera } from './cameras.ts'
import { element, make, setText } from './dom.ts'
import { saveClip, saveFrame } from './downloads.ts'
import { showFacts, type Stats } from './facts.ts'
import { actOn } from './keys.ts'
import type { ShownFrame } from './mp4-events.ts'
import { PastPlayer, type PastExtent } from './past.ts'
import { Screen } from './screen.ts'
import { listSeen } from './seen-list.ts'
import { Timeline } from './timeline.ts'

const LARGE = { width: 1280, fps: 8, isLarge: true } as const
const TICK_MS = 500
const EXTENT_MS = 3_000

export class Large {
  readonly #dialog = element('dialog', 'large')
  readonly #boxes = make('canvas', 'boxes')
  readonly #screen = new Screen({ ...LARGE, onFrame: frame => this.#onFrame(frame) })
  readonly #timeline = new Timeline(element('canvas', 'timeline'), ms => void this.#seek(ms))
  readonly #toggle = element('input', 'show-boxes')
  readonly #onClose: () => void
  #camera: Camera | undefined
  #annotations: Annotations | undefined
  #past: PastPlayer | undefined
  #extent: PastExtent | undefined
  #stats: Stats | undefined
  #frame: ShownFrame | undefined
  #isListStale = false

  constructor(onClose: () => void) {
    this.#onClose = onClose
    element('div', 'stage').append(this.#screen.node)
    this.#screen.node.append(this.#boxes)
    element('button', 'close').addEventListener('click', () => this.#dialog.close())
    this.#dialog.addEventListener('close', () => this.#close())
    this.#dialog.addEventListener('keydown', event => this.#key(event))
    const actions: [string, () => void][] = [
      ['live', () => this.live()],
      ['play', () => this.#playOrPause()],
      ['back', () => void this.#step(-1)],
      ['forward', () => void this.#step(1)],
      ['closer', () => this.#timeline.zoom(-1)],
      ['wider', () => this.#timeline.zoom(1)],
      ['save-frame', () => this.#saveFrame()],
      ['save-clip', () => this.#saveClip()],
    ]
    for (const [id, act] of actions) element('button', id).addEventListener('click', act)
    this.#toggle.addEventListener('change', () => this.#draw())
    setText(element('span', 'zone'), `Times in ${zone()}`)
    window.setInterval(() => this.#tick(), TICK_MS)
    window.setInterval(() => void this.#learn(), EXTENT_MS)
  }

  get opened(): string | undefined {
    return this.#camera?.name
  }

  open(camera: Camera): void {
    this.#reset()
    this.#camera = camera
    setText(element('h2', 'name'), camera.name)
    setText(element('p', 'problem'), '')
    this.#annotations = new Annotations(pathOf(camera), () => {
      this.#isListStale = true
      this.#draw()
    })
    if (!this.#dialog.open) this.#dialog.showModal()
    this.live()
    this.update(camera)
    void this.#learn()
  }

  /** What is new of the camera that is open. */
  update(camera: Camera): void {
    this.#camera = camera
    if (this.#past === undefined) this.#settleLive()
    this.#tick()
  }

  live(): void {
    this.#past?.dispose()
    this.#past = undefined
    this.#settleLive()
    this.#tick()
  }

  #settleLive(): void {
    const camera = this.#camera
    if (camera === undefined) return
    if (isLive(camera) && !document.hidden) this.#screen.start(camera)
    else this.#screen.stop()
  }

  #close(): void {
    this.#reset()
    this.#onClose()
  }

  #reset(): void {
    this.#past?.dispose()
    this.#past = undefined
    this.#annotations?.dispose()
    this.#annotations = undefined
    this.#camera = undefined
    this.#extent = undefined
    this.#stats = undefined
    this.#frame = undefined
    this.#screen.clear()
    this.#timeline.reset()
    element('ol', 'seen').replaceChildren()
  }

  /** From live to the past, where it is not there yet. */
  #toPast(): PastPlayer | undefined {
    const camera = this.#camera
    if (camera === undefined || this.#past !== undefined) return this.#past
    this.#screen.stop()
    this.#screen.say('')
    this.#past = new PastPlayer(this.#screen, camera, {
      onFrame: frame => {
        setText(element('p', 'problem'), '')
        this.#onFrame(frame)
      },
      onLive: () => this.live(),
      onProblem: message => setText(element('p', 'problem'), message),
    })
    this.#past.stretches = this.#extent?.stretches ?? []
    return this.#past
  }

  async #seek(ms: number): Promise<void> {
    const past = this.#toPast()
    void this.#annotations?.load(ms - 120_000, ms + 120_000)
    this.#timeline.show(this.#extent, this.#annotations?.all ?? [], ms)
    await past?.seek(ms)
    this.#tick()
  }

  async #step(direction: 1 | -1): Promise<void> {
    const from = this.#frame
    if (this.#past === undefined) {
      if (from === undefined) return
      await this.#seek(from.captureTime)
    }
    await this.#past?.step(direction)
    this.#tick()
  }

  #playOrPause(): void {
    if (this.#past === undefined) {
      if (this.#frame !== undefined) void this.#seek(this.#frame.captureTime)
    } else if (this.#past.isPlaying) this.#past.pause()
    else void this.#past.play().finally(() => this.#tick())
    this.#tick()
  }

  #onFrame(frame: ShownFrame | undefined): void {
    this.#frame = frame ?? this.#frame
    this.#draw()
  }

  #draw(): void {
    const camera = this.#camera
    const [annotations, frame] = [this.#annotations, this.#frame]
    const { video, canvas } = this.#screen
    const size = { width: camera?.width ?? video.videoWidth ?? canvas.width, height: camera?.height ?? video.videoHeight ?? canvas.height }
    if (frame === undefined || annotations === undefined || !this.#toggle.checked) return drawBoxes(this.#boxes, size, [], [])
    const exact = annotations.of(frame, 1000 / (camera?.fps ?? 25))
    const models = new Set(exact.map(({ model = '' }) => model))
    const held =
      this.#past !== undefined && !this.#past.isPlaying ? [] : annotations.before(frame).filter(({ model = '' }) => !models.has(model))
    this.#boxes.dataset['frame'] = frame.id
    this.#boxes.dataset['time'] = String(frame.captureTime)
    drawBoxes(this.#boxes, size, exact, held)
  }

  /** The past's extent, and how the camera is served. */
  async #learn(): Promise<void> {
    const camera = this.#camera
    if (camera === undefined || document.hidden) return
    const get = async <T>(resource: string): Promise<T | undefined> => {
      const answer = await fetch(`${pathOf(camera)}/${resource}`, { signal: AbortSignal.timeout(8_000) }).catch(() => undefined)
      return answer?.ok === true ? ((await answer.json()) as T) : undefined
    }
    const [extent, stats] = await Promise.all([get<PastExtent>('past'), get<Stats>('stats')])
    if (this.#camera?.name !== camera.name) return
    this.#extent = extent ?? this.#extent
    this.#stats = stats ?? this.#stats
    if (this.#past !== undefined) this.#past.stretches = this.#extent?.stretches ?? []
    this.#tick()
  }

  #tick(): void {
    const camera = this.#camera
    if (camera === undefined) return
    const atMs = this.#past === undefined ? undefined : this.#past.frame.captureTime || undefined
    const delayS = this.#toggle.checked ? (this.#annotations?.delayS ?? 0) : 0
    this.#screen.delayS = delayS
    if (this.#past === undefined && !isLive(camera)) this.#screen.sayWhy(camera.reason ?? camera.status)
    else if (this.#past === undefined && !this.#screen.isLive)
      this.#screen.sayWhy(this.#frame === undefined ? 'connecting' : 'no new frame')
    this.#timeline.show(this.#extent, this.#annotations?.all ?? [], atMs)
    const isPlaying = this.#past === undefined || this.#past.isPlaying
    element('button', 'play').classList.toggle('is-playing', isPlaying)
    element('button', 'play').setAttribute('aria-label', isPlaying ? 'Pause' : 'Play')
    element('button', 'live').setAttribute('aria-pressed', String(this.#past === undefined))
    setText(element('output', 'moment'), this.#momentText(delayS))
    this.#describe(camera)
    if (!this.#isListStale) return
    this.#isListStale = false
    listSeen(this.#annotations?.all ?? [], seen => void this.#seek(seen.captureTime))
  }

  #momentText(delayS: number): string {
    const frame = this.#frame
    if (frame === undefined) return ''
    if (this.#past !== undefined) return momentText(frame.captureTime)
    if (!this.#screen.isLive) return ''
    return delayS > 0 ? `live, ${delayS.toFixed(1)} s behind so that boxes fit` : `live · ${exactText(frame.captureTime)}`
  }

  #describe(camera: Camera): void {
    const isLiveNow = this.#past === undefined && this.#screen.isLive && this.#frame !== undefined
    const ageMs = isLiveNow ? clock.now() - (this.#frame?.captureTime ?? 0) : undefined
    const way = this.#past === undefined ? this.#screen.way : ''
    showFacts({ camera, stats: this.#stats, extent: this.#extent, ageMs, way })
  }

  #saveFrame(): void {
    if (this.#camera !== undefined && this.#frame !== undefined) saveFrame(this.#camera, this.#frame.captureTime)
  }

  /** What follows the time that is shown; of live, what was just now. */
  #saveClip(): void {
    const [camera, frame] = [this.#camera, this.#frame]
    if (camera === undefined || frame === undefined) return
    const lengthMs = Number(element('select', 'clip-length').value) * 1_000
    saveClip(camera, this.#past === undefined ? frame.captureTime - lengthMs : frame.captureTime, lengthMs)
  }

  #key(event: KeyboardEvent): void {
    actOn(event, {
      ',': () => void this.#step(-1),
      '.': () => void this.#step(1),
      ' ': () => this.#playOrPause(),
      l: () => this.live(),
      b: () => this.#toggle.click(),
      s: () => this.#saveFrame(),
      ArrowLeft: () => void this.#move(-5_000),
      ArrowRight: () => void this.#move(5_000),
    })
  }

  async #move(ms: number): Promise<void> {
    const at = this.#frame?.captureTime ?? clock.now()
    if (at + ms < clock.now()) await this.#seek(at + ms)
    else this.live()
  }
}
