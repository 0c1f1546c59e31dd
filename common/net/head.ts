// The head of a camera's HTTP answer, read as ffmpeg, curl and browsers read it: Node's own parser refuses most of what cameras get wrong.
// What would be dangerous to guess is refused in `framingOf`.
import { Failure } from '../errors.ts'

const HEAD_MAX = 64 * 1024
const LF = 0x0a
/** What an answer without any head may begin with (HTTP/0.9): a multipart boundary, a JPEG, a playlist. */
const BODIES = ['--', '\xff\xd8\xff', '#EXTM3U']

/** Header fields by their names in lower case. Values have a character for each byte, and no control characters. */
export class Fields {
  readonly #values = new Map<string, string[]>()

  add(name: string, value: string): void {
    const values = this.#values.get(name)
    if (values === undefined) this.#values.set(name, [value])
    else values.push(value)
  }

  all(name: string): readonly string[] {
    return this.#values.get(name) ?? []
  }

  /** A field that should come once: the last that says something. */
  last(name: string): string {
    return this.all(name).findLast(value => value !== '') ?? ''
  }
}

export type Head = { status: number; fields: Fields }

/** `Name: value`, however it is spaced, or with `=` for the colon; undefined for a line without a name. */
export function fieldOf(line: string): { name: string; value: string } | undefined {
  const [, name, text = ''] = /^\s*([\w!#$%&'*+.^`|~-]+)[ \t]*[:=](.*)$/s.exec(line) ?? []
  return name === undefined ? undefined : { name: name.toLowerCase(), value: clean(text) }
}

/** As C programs read it: up to a NUL. */
// eslint-disable-next-line no-control-regex
const clean = (text: string): string => (text.split('\0', 1)[0] ?? '').replace(/[\u0001-\u001f\u007f]+/g, ' ').trim()

/** Reads one head, line by line. What follows it is in `rest`. */
export class HeadReader {
  #pending: Buffer = Buffer.alloc(0)
  /** Bytes of `#pending` without an end of line. */
  #searched = 0
  #consumed = 0
  #status: number | undefined
  #fields = new Fields()
  /** The field that a folded line belongs to. */
  #field: { name: string; value: string } | undefined

  get rest(): Buffer {
    return this.#pending
  }

  /** The head once it is complete. Throws Failure InvalidStream or ProtocolRefused. */
  push(chunk: Buffer): Head | undefined {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk])
    for (;;) {
      if (this.#status === undefined) {
        const body = this.#isBody()
        if (body === true) return { status: 200, fields: this.#fields }
        if (body === undefined) return undefined
      }
      const end = this.#pending.indexOf(LF, this.#searched)
      if (this.#consumed + (end < 0 ? this.#pending.length : end) > HEAD_MAX) throw refused('its header does not end within 64 KB')
      this.#searched = this.#pending.length
      if (end < 0) return undefined
      const line = this.#pending.toString('latin1', 0, end).replace(/\r+$/, '')
      // The body of a multipart answer may begin without an empty line before it.
      if (line.startsWith('--') && this.#status !== undefined && isMultipart(this.#head().fields)) return this.#head()
      this.#take(end + 1)
      const head = this.#line(line)
      if (head !== undefined) return head
    }
  }

  /** The camera closed the connection: what there is of a head; undefined where there is none. */
  finish(): Head | undefined {
    if (this.#pending.length > 0) this.#line(this.#pending.toString('latin1'))
    this.#take(this.#pending.length)
    return this.#status === undefined ? undefined : this.#head()
  }

  #take(count: number): void {
    this.#pending = this.#pending.subarray(count)
    this.#consumed += count
    this.#searched = 0
  }

  /** Undefined while it can't be told. */
  #isBody(): boolean | undefined {
    const begun = this.#pending.toString('latin1', 0, 8)
    if (BODIES.some(mark => begun.startsWith(mark))) return true
    return begun === '' || BODIES.some(mark => mark.startsWith(begun)) ? undefined : false
  }

  #head(): Head {
    this.#keep()
    return { status: this.#status ?? 200, fields: this.#fields }
  }

  #keep(): void {
    if (this.#field !== undefined) this.#fields.add(this.#field.name, clean(this.#field.value))
    this.#field = undefined
  }

  #line(line: string): Head | undefined {
    if (this.#status === undefined) return this.#first(line)
    if (line === '') return this.#end()
    if (/^[ \t]/.test(line) && this.#field !== undefined) {
      this.#field.value += ` ${line.trim()}`
      return undefined
    }
    this.#keep()
    this.#field = fieldOf(line)
    return undefined
  }

  /** Cameras send empty lines in front of the status line, a status line of any form, or none. */
  #first(line: string): undefined {
    if (line.trim() === '') return undefined
    const [, word] = /^\s*(HTTP|ICY|RTSP|SOURCETABLE)(?![a-z])/i.exec(line) ?? []
    const status = /^\s*[a-z]+\s*\/\s*\d\.\d(\d{3})(?!\d)/i.exec(line)?.[1] ?? /(?<=\s)\d{3}(?!\d)/.exec(line)?.[0]
    if (word !== undefined) this.#status = status === undefined ? 200 : Number(status)
    else if ((this.#field = fieldOf(line)) !== undefined) this.#status = 200
    else if (['\x15\x03', '\x16\x03'].some(tls => line.startsWith(tls)))
      throw new Failure('ProtocolRefused', 'what answers speaks TLS: write https:// in source.url')
    else throw new Failure('ProtocolRefused', `what answers does not speak HTTP: it says ${said(line)}`)
    if (word?.toUpperCase() === 'RTSP' && this.#status >= 400)
      throw new Failure('ProtocolRefused', 'what answers speaks RTSP, not HTTP: write rtsp:// in source.url')
    if (this.#status < 100 || this.#status > 599) throw refused(`its status line is ${said(line)}`)
    return undefined
  }

  #end(): Head | undefined {
    const head = this.#head()
    if (head.status >= 200) return head
    if (head.status === 101) throw refused('it switches to another protocol')
    // 100 and its like: the answer proper follows.
    this.#status = undefined
    this.#fields = new Fields()
    return undefined
  }
}

export const isMultipart = (fields: Fields): boolean => /^\s*multipart\/(?!byteranges)/i.test(fields.last('content-type'))

export type Framing = { kind: 'chunked' } | { kind: 'length'; bytes: number } | { kind: 'close' }

/**
 * How the body ends. A length that is none is no length, and `chunked` wins over a length (RFC 9112 6.3), as everywhere. Two
 * lengths, or an encoding that is not known, leave open where the answer ends, so another could be smuggled in: both are refused.
 */
export function framingOf({ status, fields }: Head): Framing {
  const encodings = fields.all('transfer-encoding').flatMap(value => value.toLowerCase().split(/[\s,]+/))
  const unusual = encodings.filter(encoding => encoding !== '' && encoding !== 'identity')
  if (unusual.length > 0 && unusual.join() !== 'chunked') throw refused(`its Transfer-Encoding is ${said(unusual.join(', '))}`)
  const lengths = new Set(
    fields.all('content-length').flatMap(value =>
      value
        .split(/[\s,]+/)
        .filter(text => /^\d{1,15}$/.test(text))
        .map(Number),
    ),
  )
  if (lengths.size > 1) throw refused(`it has two lengths, Content-Length: ${[...lengths].slice(0, 3).join(' and ')}`)
  if (status === 204 || status === 304) return { kind: 'length', bytes: 0 }
  if (unusual.length > 0) return { kind: 'chunked' }
  const [bytes] = lengths
  // A stream of frames has no end, whatever a camera says of it.
  return bytes === undefined || isMultipart(fields) ? { kind: 'close' } : { kind: 'length', bytes }
}

/** Of what a camera sent, as much as a person needs to recognize it. */
const said = (text: string): string => JSON.stringify(text.slice(0, 60).replace(/[^\x20-\x7e]/g, '?'))

const refused = (what: string) => new Failure('InvalidStream', `the camera’s HTTP answer is refused: ${what}`)
