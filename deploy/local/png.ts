import { crc32, deflateSync } from 'node:zlib'

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a])
const EIGHT_BIT_RGB = [8, 2, 0, 0, 0]

/** A BGR24 picture, rows without padding, as PNG. */
export function encodePng(width: number, height: number, bgr: Uint8Array): Buffer {
  const stride = width * 3
  if (width < 1 || height < 1 || bgr.length !== stride * height) throw new Error(`${bgr.length} bytes are no picture of ${width}x${height}`)
  const rows = Buffer.alloc((stride + 1) * height) // each row starts with its filter: 0, none
  for (let y = 0; y < height; y++) {
    for (let from = y * stride, to = y * (stride + 1) + 1, end = from + stride; from < end; from += 3, to += 3) {
      rows[to] = bgr[from + 2] as number
      rows[to + 1] = bgr[from + 1] as number
      rows[to + 2] = bgr[from] as number
    }
  }
  const header = Buffer.alloc(13)
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  header.set(EIGHT_BIT_RGB, 8)
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), chunk('IDAT', deflateSync(rows, { level: 6 })), chunk('IEND', Buffer.alloc(0))])
}

function chunk(type: string, data: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(data.length)
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data])
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32(body))
  return Buffer.concat([length, body, sum])
}
