// Boxes of the ISO base media file format (ISO/IEC 14496-12). Pure.

export const u8 = (value: number): Buffer => Buffer.of(value)
export const u16 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(2 * values.length)
  for (const [i, value] of values.entries()) bytes.writeUInt16BE(value, 2 * i)
  return bytes
}
export const u32 = (...values: number[]): Buffer => {
  const bytes = Buffer.alloc(4 * values.length)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, 4 * i)
  return bytes
}
export const u64 = (value: number): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}
export const text = (value: string): Buffer => Buffer.from(value, 'latin1')

export function box(type: string, ...parts: readonly Uint8Array[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length, 8)
  return Buffer.concat([u32(size), text(type), ...parts], size)
}

export const fullBox = (type: string, version: number, flags: number, ...parts: readonly Uint8Array[]): Buffer =>
  box(type, u32(version * 2 ** 24 + flags), ...parts)

/** The head of an mdat of so many bytes. */
export const mdatHead = (size: number): Buffer =>
  size + 8 < 2 ** 32 ? Buffer.concat([u32(size + 8), text('mdat')]) : Buffer.concat([u32(1), text('mdat'), u64(size + 16)])
