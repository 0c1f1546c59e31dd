// XML from devices: hostile until it is read. No DOCTYPE, no entities but XML's own five, and bounds on all of it.
import { SaxesParser } from 'saxes'
import { Failure, messageOf } from '../errors.ts'
import { printable } from '../text.ts'

/** Names are without their prefix: devices declare prefixes wrongly, and what was asked for says what the answer is about. */
export type Element = { name: string; attributes: ReadonlyMap<string, string>; children: Element[]; text: string }

/** An answer about 64 channels has 15,000. */
const ELEMENTS_MAX = 50_000
const DEPTH_MAX = 64

/** Throws Failure OnvifInvalidAnswer. */
export function parseXml(text: string): Element {
  const root: Element = { name: '', attributes: new Map(), children: [], text: '' }
  const open = [root]
  let count = 0
  const parser = new SaxesParser()
  parser.on('doctype', () => refuse('it has a DOCTYPE'))
  parser.on('error', error => refuse(error.message))
  parser.on('opentag', ({ name, attributes }) => {
    if (++count > ELEMENTS_MAX || open.length > DEPTH_MAX) refuse('it is too large')
    const local = Object.entries(attributes).map(([key, value]) => [localOf(key), value] as const)
    const element: Element = { name: localOf(name), attributes: new Map(local), children: [], text: '' }
    open.at(-1)?.children.push(element)
    open.push(element)
  })
  parser.on('closetag', () => void open.pop())
  const characters = (chunk: string) => {
    const element = open.at(-1)
    if (element !== undefined && open.length > 1) element.text += chunk
  }
  parser.on('text', characters)
  parser.on('cdata', characters)
  try {
    parser.write(text.replace(/^[\uFEFF\s]+/, '').replace(/\0+$/, '')).close()
  } catch (error) {
    if (error instanceof Failure) throw error
    throw new Failure('OnvifInvalidAnswer', `the device’s answer is no XML: ${messageOf(error)}`)
  }
  return root.children[0] ?? refuse('it is empty')
}

const refuse = (why: string): never => {
  throw new Failure('OnvifInvalidAnswer', `the device’s answer is refused: ${why.slice(0, 120)}`)
}

const localOf = (name: string): string => name.slice(name.indexOf(':') + 1)

/** The first element at this path below `from`. */
export function find(from: Element | undefined, ...path: readonly string[]): Element | undefined {
  const [name, ...rest] = path
  if (name === undefined || from === undefined) return from
  return find(
    from.children.find(child => child.name === name),
    ...rest,
  )
}

export const findAll = (from: Element | undefined, name: string): Element[] => from?.children.filter(child => child.name === name) ?? []

/** The element's own text, printable and bounded; empty where there is none. */
export const textOf = (element: Element | undefined, max = 256): string => clean(element?.text ?? '').slice(0, max)

const clean = (text: string): string => printable(text.toWellFormed()).replaceAll(/\s+/g, ' ').trim()

const ESCAPES: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
export const escaped = (text: string): string => text.replace(/[&<>"]/g, character => ESCAPES[character] ?? '')
