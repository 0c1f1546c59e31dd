// One camera among all: live while it is in view.
import { ageText, clock, isLive, rateText, stateText, type Camera } from './cameras.ts'
import { make, setText } from './dom.ts'
import { Screen } from './screen.ts'

const TILE = { width: 480, fps: 4 } as const

export class Tile {
  readonly item: HTMLLIElement
  readonly #screen = new Screen(TILE)
  readonly #state = make('p', 'state')
  readonly #rate = make('p', 'rate')
  readonly #advice = make('p', 'advice')
  readonly #button: HTMLButtonElement
  camera: Camera
  #isInView = false
  #isPaused = false

  constructor(camera: Camera, onOpen: (camera: Camera) => void) {
    this.camera = camera
    const about = make('div', 'about', make('strong', '', camera.name), this.#state, this.#rate, this.#advice)
    this.#button = make('button', 'tile', this.#screen.node, about)
    this.#button.type = 'button'
    this.#button.addEventListener('click', () => onOpen(this.camera))
    this.item = make('li', '', this.#button)
    this.update(camera)
  }

  set isInView(isInView: boolean) {
    this.#isInView = isInView
    this.#settle()
  }

  /** While the camera is seen large, or the page is not seen at all. */
  set isPaused(isPaused: boolean) {
    this.#isPaused = isPaused
    this.#settle()
  }

  update(camera: Camera): void {
    this.camera = camera
    this.item.className = camera.severity
    setText(this.#advice, camera.advice ?? '')
    setText(this.#rate, isLive(camera) ? rateText(camera) : '')
    const name = `${camera.name}: ${stateText(camera)}`
    if (this.#button.getAttribute('aria-label') !== name) this.#button.setAttribute('aria-label', name)
    this.#settle()
  }

  /** Once a second. */
  tick(): void {
    const { camera } = this
    const { frame } = this.#screen
    const isShown = this.#screen.isLive && frame !== undefined
    const isNew = isLive(camera) && camera.reason === undefined
    setText(this.#state, isNew && isShown ? `live · ${ageText(clock.now() - frame.captureTime)} old` : stateText(camera))
    if (!isLive(camera)) this.#screen.sayWhy(camera.reason ?? camera.status)
    else if (this.#screen.isOn && !this.#screen.isLive) this.#screen.sayWhy(frame === undefined ? 'connecting' : 'no new frame')
  }

  #settle(): void {
    const isWanted = isLive(this.camera) && this.#isInView && !this.#isPaused
    if (isWanted) this.#screen.start(this.camera)
    else this.#screen.stop()
    this.tick()
  }

  remove(): void {
    this.#screen.clear()
    this.item.remove()
  }
}
