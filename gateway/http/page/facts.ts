// What is known of the camera that is seen large: from the list of cameras, from how it is served, and from its past.
import { ageText, momentText, pathOf, rateText, stateText, type Camera } from './cameras.ts'
import { element, make, setText } from './dom.ts'
import type { PastExtent } from './past.ts'

export type Stats = { clients: number; dropped: number; decodedIn?: 'Gateway' | 'Sidecar'; reconnects: number }
/** `ageMs`: of the live frame that is shown. `way`: how live frames are shown. */
export type Known = {
  readonly camera: Camera
  readonly stats: Stats | undefined
  readonly extent: PastExtent | undefined
  readonly ageMs: number | undefined
  readonly way: string
}

const WHERE = { Gateway: 'in the gateway', Sidecar: 'in the camera’s pod' }

export function showFacts(known: Known): void {
  const list = element('dl', 'facts')
  const nodes = factsOf(known).flatMap(([name, value]) => (value === '' ? [] : [make('dt', '', name), make('dd', '', value)]))
  if (list.children.length !== nodes.length) return list.replaceChildren(...nodes)
  for (const [i, node] of nodes.entries()) setText(list.children[i] as HTMLElement, node.textContent ?? '')
}

function factsOf({ camera, stats, extent, ageMs, way }: Known): [string, string][] {
  const { clients, dropped, decodedIn, reconnects } = stats ?? {}
  const labels = Object.entries(camera.labels).map(pair => pair.join('='))
  return [
    ['State', stateText(camera)],
    ['What to do', camera.advice ?? ''],
    ['Codec', camera.codec ?? ''],
    ['Stream', rateText(camera)],
    ['Age', ageMs === undefined ? '' : ageText(ageMs)],
    ['Shown', way],
    ['Clients', clients === undefined ? '' : String(clients)],
    ['Dropped', dropped === undefined ? '' : `${dropped} frames`],
    ['Decoded', decodedIn === undefined ? 'nowhere: nothing asks for frames' : WHERE[decodedIn]],
    ['Reconnects', reconnects === undefined ? '' : String(reconnects)],
    ['Buffer', bufferText(camera)],
    ['Archive', extent === undefined ? '' : archiveText(extent)],
    ['Labels', labels.join(', ')],
    ['One frame', `${new URL(pathOf(camera), location.href).href}/frame.jpg`],
  ]
}

function bufferText({ buffer }: Camera): string {
  if (buffer === undefined) return ''
  return `${ageText(buffer.to - buffer.from)}, ${(buffer.bytes / 2 ** 20).toFixed(1)} MiB`
}

function archiveText({ archive, stretches }: PastExtent): string {
  if (archive === 'none') return ''
  if (archive === 'unreachable') return 'unreachable: the camera’s pod does not answer'
  const first = stretches.find(({ source }) => source === 'archive')
  return first === undefined ? 'nothing yet' : `since ${momentText(first.from)}`
}
