// Boxes on a picture: solid on the frame that they are about, dashed where they are held from a frame before.
import { seenText, nameOf, type Seen } from './annotations.ts'
import { fitted } from './dom.ts'

type Size = { width: number; height: number }
/** Told apart by the blind to colours too, on dark and on light pictures. */
const COLOURS = ['#ffb000', '#4cc2ff', '#ff6d5a', '#8ce99a', '#e599f7', '#ffe066', '#66d9e8', '#ffa8c5']

export function colourOf(name: string): string {
  let hash = 0
  for (const letter of name) hash = (hash * 31 + (letter.codePointAt(0) ?? 0)) >>> 0
  return COLOURS[hash % COLOURS.length] ?? '#ffb000'
}

/** Where a picture of this size lies in a node that shows it whole. */
function placeOf(picture: Size, node: Size): { left: number; top: number; scale: number } {
  const scale = Math.min(node.width / picture.width, node.height / picture.height)
  return { scale, left: (node.width - picture.width * scale) / 2, top: (node.height - picture.height * scale) / 2 }
}

export function drawBoxes(canvas: HTMLCanvasElement, picture: Size, exact: readonly Seen[], held: readonly Seen[]): void {
  canvas.dataset['boxes'] = exact.map(({ id }) => id).join(' ')
  const fit = fitted(canvas)
  if (fit === undefined || picture.width === 0) return
  const { context } = fit
  const place = placeOf(picture, fit)
  context.font = '600 13px system-ui, sans-serif'
  context.textBaseline = 'top'
  for (const seen of held) drawBox(context, seen, place, picture, true)
  for (const seen of exact) drawBox(context, seen, place, picture, false)
}

type Place = ReturnType<typeof placeOf>

function drawBox(context: CanvasRenderingContext2D, seen: Seen, { left, top, scale }: Place, picture: Size, isHeld: boolean): void {
  const { box, frameSize = picture } = seen
  if (box === undefined) return
  const [across, down] = [(picture.width / frameSize.width) * scale, (picture.height / frameSize.height) * scale]
  const [x, y, width, height] = [left + box.left * across, top + box.top * down, box.width * across, box.height * down]
  const colour = colourOf(nameOf(seen))
  context.globalAlpha = isHeld ? 0.55 : 1
  context.setLineDash(isHeld ? [5, 4] : [])
  context.lineWidth = 4
  context.strokeStyle = 'rgb(0 0 0 / 0.55)'
  context.strokeRect(x, y, width, height)
  context.lineWidth = 2
  context.strokeStyle = colour
  context.strokeRect(x, y, width, height)
  const text = seenText(seen)
  const textWidth = context.measureText(text).width + 10
  const above = y - 19 >= 0 ? y - 19 : y
  context.fillStyle = colour
  context.fillRect(x - 1, above, textWidth, 19)
  context.fillStyle = '#111'
  context.fillText(text, x + 4, above + 3)
  context.globalAlpha = 1
}
