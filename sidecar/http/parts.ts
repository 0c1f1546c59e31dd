// The JPEGs of a multipart answer. Cameras get everything around them wrong: boundaries (doubled, missing, of another name), types,
// lengths, empty lines. Browsers and VLC show them all the same. A JPEG says itself where it ends, so that is where a part ends here.
// What stands between two JPEGs matters only where it names a part that is none.
import { Failure } from '../../common/errors.ts'
import { fieldOf } from '../../common/net/head.ts'

/** For the bytes since the last complete part. */
const PART_MAX = 64 * 1024 * 1024
const LINE_MAX = 64 * 1024
/** So many parts without a JPEG mean that none will come. */
const OTHERS_MAX = 30
const LF = 0x0a
const JPEG = Buffer.from([0xff, 0xd8, 0xff])
const MARKER = { soi: 0xd8, eoi: 0xd9, sos: 0xda } as const
/** What may follow a scan: Huffman and quantization tables, the number of lines, a restart interval, another scan. */
const BETWEEN_SCANS = [0xc4, 0xda, 0xdb, 0xdc, 0xdd]

export class Parts {
  #bytes = Buffer.allocUnsafe(LINE_MAX)
  /** What is looked at: from the beginning of a line or of a JPEG to the end of what came. */
  #from = 0
  #at = 0
  #to = 0
  #state: 'text' | 'skip' | 'segments' | 'scan' = 'text'
  #hasScan = false
  /** What the last step completed. */
  #jpeg: Buffer | undefined
  /** The line has been longer than any header’s. */
  #longLine = false
  /** What the part’s header says of it. */
  #type = ''
  #length = 0
  #others = 0
  /** Bytes since the last complete part. */
  #since = 0

  #append(chunk: Buffer): void {
    if (this.#from > 0) {
      this.#bytes.copyWithin(0, this.#from, this.#to)
      this.#at -= this.#from
      this.#to -= this.#from
      this.#from = 0
    }
    if (this.#to + chunk.length > this.#bytes.length) {
      const bytes = Buffer.allocUnsafe(Math.min(2 * (this.#to + chunk.length), PART_MAX + 2 * LINE_MAX))
      this.#bytes.copy(bytes, 0, 0, this.#to)
      this.#bytes = bytes
    }
    chunk.copy(this.#bytes, this.#to)
    this.#to += chunk.length
  }

  /** The JPEGs that are complete. Throws Failure InvalidStream, or CodecUnsupported where no part is a JPEG. */
  *push(chunk: Buffer): Generator<Buffer> {
    for (let at = 0; at < chunk.length; at += LINE_MAX) {
      this.#append(chunk.subarray(at, at + LINE_MAX))
      while (this.#step()) {
        if (this.#jpeg !== undefined) yield this.#jpeg
        this.#jpeg = undefined
      }
      if (this.#since + this.#to - this.#from > PART_MAX) throw endless()
    }
  }

  /** False when more has to come first. */
  #step(): boolean {
    switch (this.#state) {
      case 'text':
        return this.#text()
      case 'skip':
        return this.#skip()
      case 'segments':
        return this.#segment()
      case 'scan':
        return this.#scan()
    }
  }

  #text(): boolean {
    const seen = this.#bytes.subarray(0, this.#to)
    const lf = seen.indexOf(LF, this.#at)
    const end = lf < 0 ? this.#to : lf
    const jpeg = seen.subarray(0, end).indexOf(JPEG, Math.max(this.#from, this.#at - 2))
    if (jpeg >= 0) {
      this.#drop(jpeg)
      this.#longLine = false
      this.#begin()
      return true
    }
    if (lf < 0) {
      this.#at = this.#to
      if (this.#to - this.#from <= LINE_MAX) return false
      this.#drop(this.#to - 2) // of a JPEG’s first three bytes two may be there
      this.#at = this.#to
      this.#longLine = true
      return false
    }
    const line = this.#longLine || lf - this.#from > LINE_MAX ? undefined : seen.toString('latin1', this.#from, lf).trim()
    this.#longLine = false
    this.#drop(lf + 1)
    if (line !== undefined) this.#line(line)
    return true
  }

  #begin(): void {
    this.#state = 'segments'
    this.#hasScan = false
    this.#at = this.#from + 2
  }

  /** Leaves out what is before `at`. */
  #drop(at: number): void {
    this.#since += at - this.#from
    if (this.#since > PART_MAX) throw endless()
    this.#from = this.#at = at
  }

  #line(line: string): void {
    if (line === '') {
      if (this.#type !== '' && this.#length > 0) this.#state = 'skip'
      return
    }
    if (line.startsWith('--')) {
      if (this.#type !== '' && ++this.#others > OTHERS_MAX) throw noJpegs(this.#type)
      this.#type = ''
      this.#length = 0
      return
    }
    const field = fieldOf(line)
    if (field?.name === 'content-type' && !/^image\/p?jpe?g/i.test(field.value)) this.#type = field.value
    if (field?.name === 'content-length' && /^\d{1,8}$/.test(field.value)) this.#length = Math.min(Number(field.value), PART_MAX)
  }

  /** A part that is called something else, as sound; some cameras call a JPEG so. */
  #skip(): boolean {
    if (this.#to - this.#from < Math.min(JPEG.length, this.#length)) return false
    this.#state = 'text'
    if (this.#bytes.subarray(this.#from, this.#from + JPEG.length).equals(JPEG)) {
      this.#type = ''
      return true
    }
    const there = Math.min(this.#length, this.#to - this.#from)
    this.#length -= there
    this.#drop(this.#from + there)
    if (this.#length > 0) this.#state = 'skip'
    else this.#since = 0
    return this.#length === 0
  }

  /** From one marker to the next: each segment says how long it is. */
  #segment(): boolean {
    const at = this.#bytes.subarray(0, this.#to).indexOf(0xff, this.#at)
    this.#at = at < 0 ? Math.max(this.#at, this.#to) : at
    if (this.#at + 1 >= this.#to) return false
    const marker = this.#bytes[at + 1] ?? 0
    if (marker === 0xff) this.#at = at + 1
    else if (marker === MARKER.soi) return this.#beginsAgain(at)
    else if (marker === MARKER.eoi) this.#complete(at + 2, at + 2)
    else if (marker < 0xc0 || (marker >= 0xd0 && marker < 0xd8)) this.#at = at + 2
    else {
      if (at + 4 > this.#to) return false
      this.#at = at + 2 + Math.max(this.#bytes.readUInt16BE(at + 2), 2)
      if (marker === MARKER.sos) this.#hasScan = true
      if (marker === MARKER.sos) this.#state = 'scan'
    }
    return true
  }

  /** To the marker that ends the scan: in its data 0xff is followed by 0 or by a restart marker. */
  #scan(): boolean {
    const at = this.#bytes.subarray(0, this.#to).indexOf(0xff, this.#at)
    this.#at = at < 0 ? Math.max(this.#at, this.#to) : at
    if (this.#at + 1 >= this.#to) return false
    const marker = this.#bytes[at + 1] ?? 0
    if (marker === MARKER.eoi) this.#complete(at + 2, at + 2)
    else if (marker === MARKER.soi) return this.#beginsAgain(at)
    else if (BETWEEN_SCANS.includes(marker)) this.#state = 'segments'
    else this.#at = marker === 0xff ? at + 1 : at + 2
    return true
  }

  /** The next JPEG begins, and this one has no end: it goes as far as to the boundary between them. */
  #beginsAgain(at: number): boolean {
    if (at + 2 >= this.#to) return false
    if (this.#bytes[at + 2] !== 0xff) {
      this.#at = at + 2
      return true
    }
    const text = this.#bytes.toString('latin1', Math.max(this.#from, at - 4096), at)
    const head = /\r?\n--[\x20-\x7e\t\r\n]*$/.exec(text)?.[0].length ?? 0
    this.#complete(at - head, at)
    this.#begin()
    return true
  }

  #complete(end: number, next: number): void {
    if (this.#since + end - this.#from > PART_MAX) throw endless()
    if (this.#hasScan) this.#jpeg = Buffer.from(this.#bytes.subarray(this.#from, end))
    this.#since = 0
    this.#others = 0
    this.#type = ''
    this.#length = 0
    this.#from = this.#at = next
    this.#state = 'text'
  }
}

const endless = () => new Failure('InvalidStream', 'the camera sent 64 MiB without a complete JPEG: its multipart stream is not understood')

const noJpegs = (type: string) =>
  new Failure('CodecUnsupported', `the parts of the camera’s stream are ${JSON.stringify(type.slice(0, 60))}, not JPEG: set it to MJPEG`)
