// How HTTP answers are read that cameras write: tables, and 10,000 answers that are put together at random. No sockets.
import * as fc from 'fast-check'
import test from 'ava'
import { Failure } from '../common/errors.ts'
import { Chunks } from '../common/net/chunks.ts'
import { framingOf, HeadReader, type Head } from '../common/net/head.ts'
import { Parts } from '../sidecar/http/parts.ts'
import { fuzzRuns } from './fixtures/fuzz.ts'

const bytes = (text: string) => Buffer.from(text, 'latin1')

/** What `step` makes of the chunks in which `input` comes: each of it, or the reason why it is refused. */
function outcome<T>(
  input: Buffer,
  sizes: readonly number[],
  step: (chunk: Buffer) => Iterable<T>,
): { made: T[]; reason: string | undefined } {
  const made: T[] = []
  try {
    for (let at = 0, i = 0; at < input.length; i++) {
      const size = sizes[i % sizes.length] ?? input.length
      for (const item of step(Buffer.from(input.subarray(at, at + size)))) made.push(item)
      at += size
    }
    return { made, reason: undefined }
  } catch (error) {
    if (error instanceof Failure) return { made, reason: `${error.reason}: ${error.message}` }
    throw error
  }
}

type Answer = { status: number; type: string; framing: string; body: string } | { refused: string } | { open: true }

/** Of an answer that ends with its connection. */
function read(input: Buffer, sizes: readonly number[] = [input.length]): Answer {
  const reader = new HeadReader()
  const body: Buffer[] = []
  let head: Head | undefined
  const { reason } = outcome(input, sizes, chunk => {
    if (head !== undefined) body.push(chunk)
    else if ((head = reader.push(chunk)) !== undefined) body.push(reader.rest)
    return []
  })
  if (reason !== undefined) return { refused: reason }
  try {
    const found = head ?? reader.finish()
    if (found === undefined) return { open: true }
    const framing = framingOf(found)
    const { status, fields } = found
    const length = framing.kind === 'length' ? ` ${framing.bytes}` : ''
    return { status, type: fields.last('content-type'), framing: framing.kind + length, body: Buffer.concat(body).toString('latin1') }
  } catch (error) {
    if (error instanceof Failure) return { refused: `${error.reason}: ${error.message}` }
    throw error
  }
}

const TYPE = 'multipart/x-mixed-replace; boundary=b'
const T = `Content-Type: ${TYPE}`

test('a head is read however a camera writes it', t => {
  for (const [head, status = 200, type = TYPE] of [
    [`HTTP/1.0 200 OK\n${T}\n\n`],
    [`HTTP/1.0 200 OK\r\n${T}\n\r\n`],
    [`HTTP/1.0 200 OK\r\r\n${T}\r\r\n\r\r\n`],
    [`HTTP/1.1 200\r\n${T}\r\n\r\n`],
    [`HTTP/1.1 200OK\r\n${T}\r\n\r\n`],
    [`HTTP/1.1  200   OK\r\n${T}\r\n\r\n`],
    [`HTTP/1.1\t200\r\n${T}\r\n\r\n`],
    [`HTTP/1.1200 OK\r\n${T}\r\n\r\n`],
    [`HTTP 200 OK\r\n${T}\r\n\r\n`],
    [`HTTP/ 200 OK\r\n${T}\r\n\r\n`],
    [`http/1.x 200 ok\r\n${T}\r\n\r\n`],
    [`HTTP/1.1 OK\r\n${T}\r\n\r\n`],
    [`ICY 200 OK\r\n${T}\r\n\r\n`],
    [`\r\n\r\nHTTP/1.1 200 OK\r\n${T}\r\n\r\n`],
    [`HTTP/1.1 100 Continue\r\nX: y\r\n\r\nHTTP/1.1 200 OK\r\n${T}\r\n\r\n`],
    [`HTTP/1.1 401 Unauthorized\r\n${T}\r\n\r\n`, 401],
    [`HTTP/1.1 404\r\n\r\n`, 404, ''],
    [`${T}\r\nServer: nph\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nTue, 12 Jun 2012 01:56:34 GMT\r\n: no name\r\nno colon\r\n=\r\n${T}\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nCache Control: no-cache\r\nContent-Type : ${TYPE}\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nX-Frame-Options=".."\r\nContent-Type=${TYPE}\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nCONTENT-TYPE:\t${TYPE}\t \r\n\r\n`],
    [`HTTP/1.1 200 OK\r\n  ${T}\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nServer: a\r\n b\r\n\tc\r\nContent-Type: multipart/x-mixed-replace;\r\n  boundary=b\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nServer: \x01\x02\xe4\xff\x7f\0\r\nX\xe9: y\r\n${T}\0, text/html\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\n${T}\r\nContent-Type:\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}\r\n${T}\r\n\r\n`],
    [`HTTP/1.1 200 OK\r\n${T}\r\n`],
  ] as const) {
    t.like(read(bytes(`${head}--b\r\n`)), { status, type, framing: 'close', body: '--b\r\n' }, JSON.stringify(head))
  }
})

test('an answer without a head is known by what it begins with', t => {
  for (const body of ['--b\r\nContent-Type: image/jpeg\r\n\r\n', '\xff\xd8\xff\xe0', '#EXTM3U\n', '--']) {
    t.deepEqual(read(bytes(body)), { status: 200, type: '', framing: 'close', body })
  }
  for (const nothing of ['', '\r\n', '\n\n\r\n']) t.deepEqual(read(bytes(nothing)), { open: true })
  t.like(read(bytes('HTTP/1.0 404 Not Found\r\nServer: x')), { status: 404, body: '' })
})

test('where an answer ends is read as other clients read it', t => {
  for (const [fields, framing] of [
    ['Content-Length: 5', 'length 5'],
    ['Content-Length: 5\r\nContent-Length: 5', 'length 5'],
    ['Content-Length: 5, 5\r\nContent-Length: 05', 'length 5'],
    ['Content-Length: -1', 'close'],
    ['Content-Length:', 'close'],
    ['Content-Length: abc\r\nContent-Length: 0x5', 'close'],
    ['Content-Length: 99999999999999999999', 'close'],
    ['Content-Length : 5\r\nContent-Length: -1', 'length 5'],
    ['Transfer-Encoding: chunked', 'chunked'],
    ['Transfer-Encoding: Chunked\r\nContent-Length: 5', 'chunked'],
    ['Transfer-Encoding: identity\r\nContent-Length: 5', 'length 5'],
    [`${T}\r\nContent-Length: 0`, 'close'],
    [`${T}\r\nContent-Length: 99999999`, 'close'],
  ] as const) {
    t.like(read(bytes(`HTTP/1.1 200 OK\r\n${fields}\r\n\r\n`)), { framing }, fields)
  }
  t.like(read(bytes('HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n')), { framing: 'length 0' })
})

test('what is dangerous to forgive is refused by name', t => {
  for (const [answer, reason] of [
    ['HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n', /^InvalidStream.*two lengths, Content-Length: 5 and 7$/],
    [
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5,7\r\n\r\n',
      /^InvalidStream.*two lengths, Content-Length: 5 and 7$/,
    ],
    [`HTTP/1.1 200 OK\r\n${T}\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\n`, /two lengths/],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n', /^InvalidStream.*Transfer-Encoding is "chunked, chunked"$/],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n', /Transfer-Encoding is "gzip, chunked"$/],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n', /Transfer-Encoding is "xchunked"$/],
    ['HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked;q=1\r\n\r\n', /Transfer-Encoding/],
    ['HTTP/1.1 101 Switching Protocols\r\n\r\n', /switches to another protocol/],
    ['HTTP/1.1 700 What\r\n\r\n', /status line is "HTTP\/1.1 700 What"/],
    [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(70_000)}`, /^InvalidStream.*does not end within 64 KB/],
    [`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(20_000)}\r\n`, /does not end within 64 KB/],
    ['\r\n'.repeat(50_000), /does not end within 64 KB/],
    ['HTTP/1.1 100 Continue\r\n\r\n'.repeat(5000), /does not end within 64 KB/],
    ['RTSP/1.0 400 Bad Request\r\n\r\n', /^ProtocolRefused.*write rtsp:\/\//],
    ['\x15\x03\x03\0\x02\x02\x46', /^ProtocolRefused.*write https:\/\//],
    ['SSH-2.0-OpenSSH_9.2\r\n', /^ProtocolRefused.*it says "SSH-2.0-OpenSSH_9.2"$/],
    ['<html>\n', /^ProtocolRefused/],
    ['\0\x01\x02\n', /^ProtocolRefused.*"\?\?\?"$/],
  ] as const) {
    const got = read(bytes(answer))
    t.regex('refused' in got ? got.refused : JSON.stringify(got), reason, JSON.stringify(answer.slice(0, 80)))
  }
})

const unchunked = (input: Buffer, sizes: readonly number[] = [input.length]) => {
  const chunks = new Chunks()
  const { made, reason } = outcome(input, sizes, chunk => chunks.push(chunk))
  return { body: Buffer.concat(made).toString('latin1'), reason, done: chunks.done }
}

test('chunks are put together, however their sizes are written', t => {
  for (const text of [
    '3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n',
    '3\nabc\n2\nde\n0\n\n',
    '0003 ;x=y\r\nabc\r\n 2 \r\nde\r\n00\r\nTrailer: x\r\n\r\nHTTP/1.1 200 OK\r\n',
    '0x3\r\nabc2\r\nde0\r\n',
  ]) {
    t.deepEqual(unchunked(bytes(text)), { body: 'abcde', reason: undefined, done: true }, text)
  }
  t.deepEqual(unchunked(bytes('3\r\nab')), { body: 'ab', reason: undefined, done: false })
  for (const text of ['--b\r\n', '-3\r\n', `${'f'.repeat(20)}\r\n`, 'x'.repeat(5000), `1;${'x'.repeat(5000)}\r\na`]) {
    t.regex(unchunked(bytes(text)).reason ?? '', /Transfer-Encoding: chunked, but/, text.slice(0, 20))
  }
})

// JPEGs as small as they get: they need not be decodable, only whole.
const SEGMENT = '\xff\xdb\0\x04\xff\xd9' // the end of an image inside a segment is none
const jpegOf = (data: string) => `\xff\xd8\xff\xe0\0\x06JFIF${SEGMENT}\xff\xda\0\x03\x01${data}\xff\xd9`
const ONE = jpegOf('one\xff\0\xff\xd0\r\n--b\r\n\r\n\xe9')
const TWO = jpegOf('two\xff\xff\0scan\xff\xc4\0\x02\xff\xda\0\x02again')

const jpegs = (input: Buffer, sizes: readonly number[] = [input.length]) => {
  const parts = new Parts()
  const { made, reason } = outcome(input, sizes, chunk => parts.push(chunk))
  return { jpegs: made.map(jpeg => jpeg.toString('latin1')), reason }
}

test('JPEGs are found in a multipart stream, whatever stands around them', t => {
  const each = (part: (jpeg: string) => string) => part(ONE) + part(TWO)
  for (const stream of [
    each(jpeg => `--b\r\nContent-Type: image/jpeg\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\r\nContent-Type: image/jpeg\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\r\n--b\r\nContent-type:image/jpeg\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\r\nContent-Type: image/jpeg;size=${jpeg.length}\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}`),
    each(jpeg => `--b\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `b\r\nContent-Type: IMAGE/JPG\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--other--\r\nContent-Type: image/pjpeg\r\nContent-Length: 5\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\r\nContent-Type: image/jpeg\r\nContent-Length: 99999\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\nContent-Type: image/jpeg\nContent-Length: -1\n\n\n\n${jpeg}\n\n`),
    each(jpeg => `--b\r\n\r\nContent-Type: image/jpeg\r\n\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\r\nContent-Type: text/plain\r\nContent-Length: ${jpeg.length}\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `--b\r\nContent-Type: image/jpeg\r\nX: ${'x'.repeat(100_000)}\r\n\r\n${jpeg}\r\n`),
    each(jpeg => `Content-Type: image/jpeg\r\n\r\n${jpeg}\r\n--b\r\n`),
    each(jpeg => `--b\r\nContent-Type: audio/basic\r\nContent-Length: ${ONE.length + 4}\r\n\r\n\0\0\0\0${ONE}\r\n--b\r\n\r\n${jpeg}\r\n`),
    each(jpeg => jpeg),
    each(jpeg => `\0\0\0${jpeg}\0\0\0`),
  ]) {
    t.deepEqual(jpegs(bytes(stream)), { jpegs: [ONE, TWO], reason: undefined }, JSON.stringify(stream.slice(0, 60)))
  }
})

test('a JPEG without an end goes as far as to the next boundary, and one that is cut in its head is left out', t => {
  const cut = ONE.slice(0, -2)
  const next = `\r\n--b\r\nContent-Type: image/jpeg\r\n\r\n${TWO}`
  t.deepEqual(jpegs(bytes(`--b\r\n\r\n${cut}${next}`)).jpegs, [cut, TWO])
  t.deepEqual(jpegs(bytes(`--b\r\n\r\n${cut}${TWO}`)).jpegs, [cut, TWO])
  t.deepEqual(jpegs(bytes(`--b\r\n\r\n\xff\xd8\xff${TWO}\xff\xd8\xff\xd9`)).jpegs, [TWO])
})

test('a part without an end, and a stream without JPEGs, are refused and take no memory', t => {
  const chunk = Buffer.alloc(1024 * 1024, 'x')
  for (const [begin, memoryMax] of [
    ['--b\r\n\r\n\xff\xd8\xff\xda\0\x02', 140],
    ['--b\r\n', 4],
  ] as const) {
    const parts = new Parts()
    const before = process.memoryUsage().arrayBuffers
    t.deepEqual([...parts.push(bytes(begin))], [])
    for (let i = 0; i < 63; i++) t.deepEqual([...parts.push(chunk)], [])
    t.true(process.memoryUsage().arrayBuffers - before < memoryMax * 1024 * 1024)
    t.throws(() => [...parts.push(chunk), ...parts.push(chunk)], { instanceOf: Failure, message: /64 MiB without a complete JPEG/ })
  }
  const png = '--b\r\nContent-Type: image/png\r\nContent-Length: 4\r\n\r\n\x89PNG\r\n'
  t.regex(jpegs(bytes(png.repeat(50))).reason ?? '', /^CodecUnsupported.*"image\/png", not JPEG/)
})

// At random.

const SIZES = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 })
const pieces = (...texts: string[]) =>
  fc
    .array(
      fc.oneof(
        { weight: 4, arbitrary: fc.constantFrom(...texts) },
        fc.uint8Array({ maxLength: 8 }).map(raw => Buffer.from(raw).toString('latin1')),
      ),
      {
        maxLength: 30,
      },
    )
    .map(all => bytes(all.join('')))
test('any head is read or refused, alike in whatever pieces it comes', t => {
  const input = pieces(
    ...[
      'HTTP/1.1 200 OK',
      'HTTP/1.0 ',
      '401',
      ' 100 ',
      'ICY',
      'RTSP/1.0 400',
      '\r\n',
      '\n',
      '\r',
      '\r\n\r\n',
      ' ',
      '\t',
      ':',
      '=',
      '--',
      '\0',
    ],
    ...['Content-Length: 5', 'Content-Length', 'Transfer-Encoding: chunked', T, 'X: y', '#EXTM3U', '\xff\xd8\xff', ' folded', ','],
  )
  fc.assert(
    fc.property(input, SIZES, (answer, sizes) => t.deepEqual(read(answer, sizes), read(answer)) === undefined || true),
    fuzzRuns(),
  )
})

test('any chunks are put together or refused, alike in whatever pieces they come', t => {
  const input = pieces('0', '3', 'a', '10', '\r\n', '\n', ';', 'abc', '0\r\n\r\n', '3\r\nabc\r\n', 'fffffffffff', ' ')
  fc.assert(
    fc.property(input, SIZES, (body, sizes) => {
      const { body: whole, ...end } = unchunked(body)
      t.deepEqual(unchunked(body, sizes), { body: whole, ...end })
      t.true(whole.length <= body.length)
    }),
    fuzzRuns(),
  )
})

test('any parts become JPEGs or are refused, alike in whatever pieces they come', t => {
  const input = pieces(
    ...['--b', '\r\n', '\n', '\r\n\r\n', 'Content-Type: image/jpeg', 'Content-Type: audio/basic', 'Content-Length: 7', 'Content-Length: 0'],
    ...['\xff\xd8\xff', '\xff\xd9', '\xff\xda\0\x02', '\xff\xe0\0\x05abc', '\xff\xc4\0\x02', '\xff', '\xff\0', '\0', ONE, TWO, 'x'],
  )
  fc.assert(
    fc.property(input, SIZES, (stream, sizes) => {
      const whole = jpegs(stream)
      t.deepEqual(jpegs(stream, sizes), whole)
      for (const jpeg of whole.jpegs) t.true(jpeg.startsWith('\xff\xd8\xff') && stream.toString('latin1').includes(jpeg))
    }),
    fuzzRuns(),
  )
})
