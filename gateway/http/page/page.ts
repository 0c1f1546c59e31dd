// The page: a tile per camera, live while it is in view; a click makes it large. Node strips the types when it serves this file.

type Camera = {
  name: string
  namespace: string
  status: string
  health: string
  severity: string
  reason?: string
  message?: string
  advice?: string
  codec?: string
  width?: number
  height?: number
  fps?: number
  bitsPerSecond?: number
  lastPacketAt?: number
}

const POLL_MS = 2_000
const TILE = 'live.mjpeg?width=480&fps=8'
const LARGE = 'live.mjpeg?width=1280'
/** After an error of a stream. */
const RETRY_MS = 2_000

function element<K extends keyof HTMLElementTagNameMap>(tag: K, id: string): HTMLElementTagNameMap[K] {
  const found = document.querySelector<HTMLElementTagNameMap[K]>(`${tag}${id}`)
  if (found === null) throw new Error(`the page has no ${tag}${id}`)
  return found
}
const make = <K extends keyof HTMLElementTagNameMap>(
  tag: K,
  className: string,
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] => {
  const made = document.createElement(tag)
  made.className = className
  made.append(...children)
  return made
}

const pathOf = (camera: Camera) => `cameras/${camera.name.split('/').map(encodeURIComponent).join('/')}`
const isLive = ({ status }: Camera) => status === 'running'

/** An image that shows a stream while it is wanted, and asks again after an error. */
class Live {
  readonly image: HTMLImageElement
  #source = ''
  #timer = 0

  constructor(image: HTMLImageElement) {
    this.image = image
    image.addEventListener('error', () => {
      if (this.#source === '') return
      clearTimeout(this.#timer)
      this.#timer = window.setTimeout(() => this.#load(), RETRY_MS)
    })
  }

  show(source: string): void {
    if (source === this.#source) return
    clearTimeout(this.#timer)
    this.#source = source
    if (source === '') this.#freeze()
    else this.#load()
  }

  #load(): void {
    this.image.src = this.#source
  }

  /** Ends the connection. What was shown last stays on a canvas of the same place, if it can be had. */
  #freeze(): void {
    const { image } = this
    if (image.naturalWidth > 0) {
      const canvas = document.createElement('canvas')
      canvas.width = image.naturalWidth
      canvas.height = image.naturalHeight
      canvas.getContext('2d')?.drawImage(image, 0, 0)
      image.src = canvas.toDataURL('image/jpeg', 0.7)
    } else image.removeAttribute('src')
  }
}

class Tile {
  readonly item: HTMLLIElement
  readonly #live: Live
  readonly #screen: HTMLDivElement
  readonly #over = make('span', 'over')
  readonly #state = make('p', 'state')
  readonly #advice = make('p', 'advice')
  readonly #button: HTMLButtonElement
  camera: Camera
  #isInView = false

  constructor(camera: Camera, onOpen: (camera: Camera) => void) {
    this.camera = camera
    const image = make('img', '')
    image.alt = ''
    this.#live = new Live(image)
    this.#screen = make('div', 'screen', image, this.#over)
    const about = make('div', 'about', make('strong', '', camera.name), this.#state, this.#advice)
    this.#button = make('button', 'tile', this.#screen, about)
    this.#button.type = 'button'
    this.#button.addEventListener('click', () => onOpen(this.camera))
    this.item = make('li', '', this.#button)
    this.update(camera)
  }

  set isInView(isInView: boolean) {
    this.#isInView = isInView
    this.#settle()
  }

  update(camera: Camera): void {
    this.camera = camera
    this.item.className = camera.severity
    this.#state.textContent = stateText(camera)
    this.#advice.textContent = camera.advice ?? ''
    this.#button.setAttribute('aria-label', `${camera.name}: ${stateText(camera)}`)
    this.#settle()
  }

  #settle(): void {
    const live = isLive(this.camera)
    this.#screen.classList.toggle('stale', !live)
    this.#over.textContent = live ? '' : [this.camera.reason ?? this.camera.status, lastSeen(this.camera)].filter(Boolean).join(' · ')
    this.#live.show(live && this.#isInView && !document.hidden ? `${pathOf(this.camera)}/${TILE}` : '')
  }
}

function stateText({ status, reason, message, fps, width, height }: Camera): string {
  if (status === 'running' && reason === undefined)
    return ['live', fps && `${fps.toFixed(0)} fps`, width && `${width}×${height}`].filter(Boolean).join(' · ')
  return [reason ?? status, message].filter(Boolean).join(': ')
}

function lastSeen({ lastPacketAt }: Camera): string {
  if (lastPacketAt === undefined) return ''
  const seconds = Math.max(0, Math.round((Date.now() - lastPacketAt) / 1000))
  return seconds < 120 ? `last packet ${seconds} s ago` : `last packet ${new Date(lastPacketAt).toLocaleString()}`
}

const tiles = new Map<string, Tile>()
const inView = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    for (const tile of tiles.values()) if (tile.item === target) tile.isInView = isIntersecting
  }
})
const large = element('dialog', '#large')
const largeLive = new Live(element('img', '#frame'))
let opened = ''

function open(camera: Camera): void {
  opened = camera.name
  element('h2', '#name').textContent = camera.name
  describe(camera)
  if (!large.open) large.showModal()
}

function describe(camera: Camera): void {
  largeLive.image.alt = `${camera.name}, live`
  largeLive.show(isLive(camera) ? `${pathOf(camera)}/${LARGE}` : '')
  const facts: [string, string][] = [
    ['State', stateText(camera)],
    ['What to do', camera.advice ?? ''],
    ['Codec', [camera.codec, camera.width === undefined ? '' : `${camera.width}×${camera.height}`].filter(Boolean).join(', ')],
    ['Rate', camera.fps === undefined ? '' : `${camera.fps.toFixed(1)} fps, ${((camera.bitsPerSecond ?? 0) / 1e6).toFixed(2)} Mbit/s`],
    ['Last packet', camera.lastPacketAt === undefined ? '' : `${new Date(camera.lastPacketAt).toLocaleString()} (${zone})`],
    ['One frame', `${new URL(pathOf(camera), location.href).href}/frame.jpg`],
  ]
  const shown = facts.filter(([, value]) => value !== '')
  element('dl', '#facts').replaceChildren(...shown.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]))
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
element('button', '#close').addEventListener('click', () => large.close())
large.addEventListener('close', () => {
  opened = ''
  largeLive.show('')
})
const filter = element('input', '#filter')
filter.addEventListener('input', applyFilter)
document.addEventListener('visibilitychange', () => {
  for (const tile of tiles.values()) tile.update(tile.camera)
})

function applyFilter(): void {
  const text = filter.value.trim().toLowerCase()
  for (const { item, camera } of tiles.values()) {
    item.hidden = ![camera.name, camera.namespace, stateText(camera)].some(each => each.toLowerCase().includes(text))
  }
}

function render(cameras: readonly Camera[]): void {
  const list = element('ul', '#tiles')
  const names = new Set(cameras.map(({ name }) => name))
  for (const [name, tile] of tiles) {
    if (names.has(name)) continue
    inView.unobserve(tile.item)
    tile.isInView = false
    tile.item.remove()
    tiles.delete(name)
  }
  for (const camera of cameras) {
    const known = tiles.get(camera.name)
    if (known !== undefined) known.update(camera)
    else {
      const tile = new Tile(camera, open)
      tiles.set(camera.name, tile)
      list.append(tile.item)
      inView.observe(tile.item)
    }
    if (camera.name === opened) describe(camera)
  }
  const live = cameras.filter(isLive).length
  element('output', '#summary').textContent = `${live} of ${cameras.length} live`
  applyFilter()
}

function notice(text: string): void {
  const shown = element('p', '#notice')
  shown.textContent = text
  shown.hidden = text === ''
}

async function poll(): Promise<void> {
  try {
    const answer = await fetch('cameras', { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(10_000) })
    element('form', '#login').hidden = answer.status !== 401
    if (answer.status === 401) return render([])
    const body = (await answer.json()) as Camera[] | { message: string }
    if (!Array.isArray(body)) return notice(body.message)
    notice(body.length === 0 ? 'There are no cameras that you may see.' : '')
    render(body)
  } catch {
    notice('The gateway does not answer. Trying again.')
  } finally {
    setTimeout(() => void poll(), POLL_MS)
  }
}

void poll()
