// The page: a tile per camera, live while it is in view; a click makes it large. Node strips the types when it serves these files.
import { isLive, learnClock, matches, type Camera } from './cameras.ts'
import { element, setText } from './dom.ts'
import { Large } from './large.ts'
import { Tile } from './tile.ts'

const POLL_MS = 2_000
const TICK_MS = 1_000

const tiles = new Map<string, Tile>()
const byItem = new WeakMap<Element, Tile>()
const inView = new IntersectionObserver(entries => {
  for (const { target, isIntersecting } of entries) {
    const tile = byItem.get(target)
    if (tile !== undefined) tile.isInView = isIntersecting
  }
})
const large = new Large(settle)
const [text, namespace, state] = [element('input', 'filter'), element('select', 'namespace'), element('select', 'state')]
for (const control of [text, namespace, state]) control.addEventListener('input', applyFilter)
document.addEventListener('visibilitychange', settle)
window.setInterval(() => {
  if (!document.hidden) for (const tile of tiles.values()) tile.tick()
}, TICK_MS)

/** Tiles pause behind the large view, and all do while the page is not seen. */
function settle(): void {
  const isPaused = document.hidden || large.opened !== undefined
  for (const tile of tiles.values()) tile.isPaused = isPaused
}

function open(camera: Camera): void {
  large.open(camera)
  settle()
}

function applyFilter(): void {
  const wanted = { text: text.value, namespace: namespace.value, state: state.value }
  let shown = 0
  for (const { item, camera } of tiles.values()) {
    item.hidden = !matches(camera, wanted)
    if (!item.hidden) shown++
  }
  setText(element('p', 'none-match'), shown === 0 && tiles.size > 0 ? 'No camera matches the filter.' : '')
}

function render(cameras: readonly Camera[]): void {
  const list = element('ul', 'tiles')
  const names = new Set(cameras.map(({ name }) => name))
  for (const [name, tile] of tiles) {
    if (names.has(name)) continue
    inView.unobserve(tile.item)
    tile.remove()
    tiles.delete(name)
  }
  for (const camera of cameras) {
    const known = tiles.get(camera.name)
    if (known !== undefined) known.update(camera)
    else {
      const tile = new Tile(camera, open)
      tiles.set(camera.name, tile)
      byItem.set(tile.item, tile)
      list.append(tile.item)
      tile.isPaused = document.hidden || large.opened !== undefined
      inView.observe(tile.item)
    }
    if (camera.name === large.opened) large.update(camera)
  }
  offerNamespaces(cameras)
  summarize(cameras)
  applyFilter()
}

function offerNamespaces(cameras: readonly Camera[]): void {
  const names = [...new Set(cameras.map(camera => camera.namespace))].sort()
  const offered = [...namespace.options].slice(1).map(({ value }) => value)
  if (names.join() === offered.join()) return
  const chosen = namespace.value
  const all = new Option('All namespaces', '')
  namespace.replaceChildren(all, ...names.map(name => new Option(name, name)))
  namespace.value = names.includes(chosen) ? chosen : ''
  namespace.hidden = names.length < 2
}

function summarize(cameras: readonly Camera[]): void {
  const live = cameras.filter(isLive).length
  const person = cameras.filter(({ severity }) => severity === 'needs-a-person').length
  const parts = [`${live} of ${cameras.length} live`, person > 0 ? `${person} need a person` : '']
  setText(element('output', 'summary'), parts.filter(Boolean).join(' · '))
  document.title = `${live}/${cameras.length} cameras – Chrysalis Edge`
}

function notice(said: string): void {
  const shown = element('p', 'notice')
  setText(shown, said)
  shown.hidden = said === ''
}

const login = element('form', 'login')
login.addEventListener('submit', event => {
  event.preventDefault()
  void enter()
})

async function enter(): Promise<void> {
  const token = element('input', 'token')
  const problem = element('p', 'login-problem')
  const body = new URLSearchParams({ token: token.value })
  const answer = await fetch('login', { method: 'POST', body, redirect: 'manual', headers: { accept: 'application/json' } }).catch(
    () => undefined,
  )
  token.value = ''
  if (answer?.type === 'opaqueredirect') {
    setText(problem, '')
    await look()
  } else setText(problem, answer === undefined ? 'The gateway does not answer.' : ((await answer.json()) as { message: string }).message)
}

function showUser(user: string | null): void {
  element('form', 'logout').hidden = user === null
  setText(element('span', 'user'), user === null ? '' : decodeURIComponent(user))
}

async function look(): Promise<void> {
  const sentMs = Date.now()
  const answer = await fetch('cameras', { headers: { accept: 'application/json' }, signal: AbortSignal.timeout(10_000) })
  learnClock(Number(answer.headers.get('x-server-time')), sentMs, Date.now())
  login.hidden = answer.status !== 401
  showUser(answer.headers.get('x-user'))
  if (answer.status === 401) {
    notice('')
    return render([])
  }
  const body = (await answer.json()) as Camera[] | { message: string }
  if (!Array.isArray(body)) return notice(body.message)
  notice(body.length === 0 ? 'There are no cameras that you may see.' : '')
  render(body)
}

async function poll(): Promise<void> {
  try {
    if (!document.hidden) await look()
  } catch {
    notice('The gateway does not answer. Trying again.')
  } finally {
    setTimeout(() => void poll(), POLL_MS)
  }
}

void poll()
