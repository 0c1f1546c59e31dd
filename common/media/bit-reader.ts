// Numbers of bits, as the headers of codecs have them. All throw RangeError beyond the end.
export class BitReader {
  readonly #bytes: Uint8Array
  #bit = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  bits(count: number): number {
    let value = 0
    for (let i = 0; i < count; i++, this.#bit++) {
      const byte = this.#bytes[this.#bit >> 3]
      if (byte === undefined) throw new RangeError('end of the bits')
      value = value * 2 + ((byte >> (7 - (this.#bit & 7))) & 1)
    }
    return value
  }

  flag(): boolean {
    return this.bits(1) === 1
  }

  /** ue(v) of H.264 (9.1) and H.265: Exp-Golomb; AV1 has it as uvlc() (4.10.3). */
  ue(): number {
    let zeros = 0
    while (!this.flag()) if (++zeros > 32) throw new RangeError('malformed Exp-Golomb code')
    return 2 ** zeros - 1 + this.bits(zeros)
  }

  se(): number {
    const code = this.ue()
    return code % 2 === 0 ? -code / 2 : (code + 1) / 2
  }
}
