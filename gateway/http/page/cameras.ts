// Cameras as GET /cameras lists them, and what is said about them.

export type Camera = {
  name: string
  namespace: string
  labels: Record<string, string>
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
  buffer?: { from: number; to: number; bytes: number }
  archive: boolean
  /** A smaller stream. `codec` and size are of the last connection; `reason`: why there is none. */
  substream?: { reason?: string; codec?: string; width?: number }
}

export const pathOf = ({ name }: Pick<Camera, 'name'>): string => `cameras/${name.split('/').map(encodeURIComponent).join('/')}`
export const isLive = ({ status }: Camera): boolean => status === 'running'

export const clock = {
  /** What this machine's clock has to be moved by to agree with the gateway's. */
  offsetMs: 0,
  now: (): number => Date.now() + clock.offsetMs,
}
let quickestMs = Infinity

/** `serverMs`: the gateway's clock, in an answer to a question that was sent at `sentMs`. The quickest answer tells best. */
export function learnClock(serverMs: number, sentMs: number, receivedMs: number): void {
  const tookMs = receivedMs - sentMs
  if (!(serverMs > 0) || tookMs > quickestMs * 1.5 + 5) return
  quickestMs = Math.max(1, Math.min(quickestMs, tookMs))
  clock.offsetMs = serverMs - (sentMs + receivedMs) / 2
}

/** A camera that streams says nothing more; another one why, in plain words. */
export function stateText({ status, reason, message }: Camera): string {
  if (status === 'running' && reason === undefined) return 'live'
  return [reason ?? status, message].filter(Boolean).join(': ')
}

export function rateText({ fps, bitsPerSecond, width, height }: Camera): string {
  const parts = [
    width !== undefined && height !== undefined && `${width}×${height}`,
    fps !== undefined && `${fps.toFixed(0)} fps`,
    bitsPerSecond !== undefined &&
      (bitsPerSecond < 1e5 ? `${(bitsPerSecond / 1e3).toFixed(0)} kbit/s` : `${(bitsPerSecond / 1e6).toFixed(1)} Mbit/s`),
  ]
  return parts.filter(Boolean).join(' · ')
}

export function ageText(ms: number): string {
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 10) return `${seconds.toFixed(1)} s`
  if (seconds < 120) return `${seconds.toFixed(0)} s`
  if (seconds < 7_200) return `${(seconds / 60).toFixed(0)} min`
  return seconds < 172_800 ? `${(seconds / 3600).toFixed(0)} h` : `${(seconds / 86_400).toFixed(0)} days`
}

export const zone = (): string => {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions()
  const name = new Intl.DateTimeFormat(undefined, { timeZoneName: 'shortOffset' })
    .formatToParts()
    .find(({ type }) => type === 'timeZoneName')?.value
  return name === undefined || name === timeZone ? timeZone : `${timeZone} (${name})`
}

const TIME = { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false } as const
export const timeText = (ms: number): string => new Date(ms).toLocaleTimeString(undefined, TIME)
export const exactText = (ms: number): string => `${timeText(ms)}.${String(Math.floor(ms) % 1000).padStart(3, '0')}`
export function momentText(ms: number): string {
  const date = new Date(ms)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? exactText(ms) : `${date.toLocaleDateString()} ${exactText(ms)}`
}

/** Each word of the filter: `key=value` is a label, any other stands somewhere in the name, the state or a label. */
export function matches(camera: Camera, { text, namespace, state }: { text: string; namespace: string; state: string }): boolean {
  if (namespace !== '' && camera.namespace !== namespace) return false
  if (state === 'live' && !isLive(camera)) return false
  if (state === 'down' && isLive(camera)) return false
  if (state === 'person' && camera.severity !== 'needs-a-person') return false
  const labels = Object.entries(camera.labels).map(([key, value]) => `${key}=${value}`)
  const all = [camera.name, camera.namespace, stateText(camera), ...labels].map(each => each.toLowerCase())
  const words = text.toLowerCase().split(/\s+/).filter(Boolean)
  return words.every(word =>
    /^[^=]+=[^=]+$/.test(word) ? labels.some(label => label.toLowerCase() === word) : all.some(each => each.includes(word)),
  )
}
