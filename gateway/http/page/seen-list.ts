// The list of what models see: the newest on top; each entry leads to its moment.
import { nameOf, seenText, type Seen } from './annotations.ts'
import { colourOf } from './boxes.ts'
import { momentText } from './cameras.ts'
import { element, make, setText } from './dom.ts'

const LISTED_MAX = 100

export function listSeen(all: readonly Seen[], onChosen: (seen: Seen) => void): void {
  setText(element('p', 'seen-none'), all.length === 0 ? 'No model has annotated this camera yet.' : '')
  const items = all.slice(-LISTED_MAX).toReversed()
  element('ol', 'seen').replaceChildren(...items.map(seen => itemOf(seen, onChosen)))
}

function itemOf(seen: Seen, onChosen: (seen: Seen) => void): HTMLLIElement {
  const dot = make('span', 'dot')
  dot.style.background = colourOf(nameOf(seen))
  const button = make('button', '', dot, make('span', 'what', seenText(seen)), make('time', '', momentText(seen.captureTime)))
  button.type = 'button'
  if (seen.model !== undefined) button.title = `by ${seen.model}`
  button.addEventListener('click', () => onChosen(seen))
  return make('li', '', button)
}
