// Labels of Cameras, and the selectors that name cameras by them: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/

export type Labels = Readonly<Record<string, string>>

export const LABELS_MAX = 64
const PREFIX_MAX = 253
const SELECTOR_MAX = 4096

const NAME = /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/
const PREFIX = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

export function isLabelKey(key: string): boolean {
  const [first = '', second, ...rest] = key.split('/')
  if (second === undefined) return NAME.test(first)
  return rest.length === 0 && first.length <= PREFIX_MAX && PREFIX.test(first) && NAME.test(second)
}

export const isLabelValue = (value: string): boolean => value === '' || NAME.test(value)

/** Those that Kubernetes would accept, the first by name where there are too many. */
export function boundedLabels(labels: Labels = {}): Labels {
  const valid = Object.entries(labels).filter(([key, value]) => isLabelKey(key) && isLabelValue(value))
  return Object.fromEntries(valid.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, LABELS_MAX))
}

/** Whether labels match. */
export type Selector = (labels: Labels) => boolean

/** A selector that cannot be parsed. The message is a sentence for its author. */
export class BadSelector extends Error {}

/** Throws BadSelector. Empty text matches every camera. */
export function parseSelector(text: string): Selector {
  if (text.length > SELECTOR_MAX) throw new BadSelector(`has ${text.length} characters, at most ${SELECTOR_MAX} are allowed`)
  const parser = new Parser(tokensOf(text))
  const requirements = parser.requirements()
  return labels => requirements.every(holds => holds(labels))
}

type Token = { readonly text: string; readonly isWord: boolean; readonly at: number }

const TOKEN = /\s*(?:(?<sign>==|!=|=|!|,|\(|\))|(?<word>[^\s=!,()]+))/y

function tokensOf(text: string): Token[] {
  const tokens: Token[] = []
  const end = text.trimEnd().length
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < end) {
    const { sign, word } = TOKEN.exec(text)?.groups ?? {}
    const found = word ?? sign ?? ''
    tokens.push({ text: found, isWord: word !== undefined, at: TOKEN.lastIndex - found.length })
  }
  return tokens
}

class Parser {
  readonly #tokens: readonly Token[]
  #next = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  requirements(): Selector[] {
    const found: Selector[] = []
    while (this.#next < this.#tokens.length) {
      found.push(this.#requirement())
      if (this.#next === this.#tokens.length) break
      this.#expect(',')
      // As in Kubernetes, nothing may follow a comma only between values.
      if (this.#next === this.#tokens.length) throw new BadSelector('needs a label key at its end')
    }
    return found
  }

  #requirement(): Selector {
    if (this.#takes('!')) {
      const key = this.#key()
      return labels => !has(labels, key)
    }
    const key = this.#key()
    const operator = this.#tokens[this.#next]?.text
    switch (operator) {
      case undefined:
      case ',':
        return labels => has(labels, key)
      case '=':
      case '==':
      case '!=': {
        this.#next++
        const value = this.#value()
        return operator === '!=' ? labels => !is(labels, key, [value]) : labels => is(labels, key, [value])
      }
      case 'in':
      case 'notin': {
        this.#next++
        const values = this.#values()
        return operator === 'notin' ? labels => !is(labels, key, values) : labels => is(labels, key, values)
      }
      default:
        throw this.#unexpected('one of "=", "==", "!=", "in", "notin" or ","')
    }
  }

  #key(): string {
    const token = this.#tokens[this.#next]
    if (token?.isWord !== true) throw this.#unexpected('a label key')
    if (!isLabelKey(token.text)) throw new BadSelector(`has "${shown(token.text)}" at ${token.at + 1}, which is not a label key`)
    this.#next++
    return token.text
  }

  /** Nothing is the empty value. */
  #value(): string {
    const token = this.#tokens[this.#next]
    if (token?.isWord !== true) return ''
    if (!isLabelValue(token.text)) throw new BadSelector(`has "${shown(token.text)}" at ${token.at + 1}, which is not a label value`)
    this.#next++
    return token.text
  }

  #values(): string[] {
    this.#expect('(')
    const values = [this.#value()]
    while (this.#takes(',')) values.push(this.#value())
    this.#expect(')')
    return values
  }

  #takes(sign: string): boolean {
    if (this.#tokens[this.#next]?.text !== sign) return false
    this.#next++
    return true
  }

  #expect(sign: string): void {
    if (!this.#takes(sign)) throw this.#unexpected(`"${sign}"`)
  }

  #unexpected(wanted: string): BadSelector {
    const token = this.#tokens[this.#next]
    const place = token === undefined ? 'at its end' : `at ${token.at + 1}, where "${shown(token.text)}" stands`
    return new BadSelector(`needs ${wanted} ${place}`)
  }
}

const has = (labels: Labels, key: string): boolean => Object.hasOwn(labels, key)
const is = (labels: Labels, key: string, values: readonly string[]): boolean => {
  const value = has(labels, key) ? labels[key] : undefined
  return value !== undefined && values.includes(value)
}
const shown = (text: string): string => (text.length > 64 ? `${text.slice(0, 64)}…` : text)
