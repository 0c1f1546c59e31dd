// Cameras' archives: they lie on the camera pods' volumes, and the sidecars answer for them.
import { randomUUID } from 'node:crypto'
import { NatsError } from 'nats'
import { unlessAborted } from '../../common/abort.ts'
import type { Nats } from '../../common/nats/connect.ts'
import {
  decodePackets,
  decodeRanges,
  type ArchiveAnswer,
  type ArchivePackets,
  type ArchivePlace,
  type ArchiveProblem,
  type ArchiveRequest,
} from '../../proto/archive.ts'
import { BadMessage, type StoredPacket } from '../../proto/messages.ts'
import { archiveSubject } from '../../proto/subjects.ts'
import type { KnownCamera } from '../cameras.ts'
import { Refusal } from '../refusal.ts'
import type { Read } from './packet-reader.ts'
import type { PacketSource } from './replay.ts'
import type { TimeRange } from './stretches.ts'

const ANSWER_MS = 4_000
/** A sidecar that is busy is asked again, so often and after so long. */
const TRIES = 5
const RETRY_MS = 200

export class Archives {
  readonly #link: () => Nats | undefined
  readonly #onBad: (bad: BadMessage) => void

  constructor(link: () => Nats | undefined, onBad: (bad: BadMessage) => void) {
    this.#link = link
    this.#onBad = onBad
  }

  /** In order. Throws a Refusal where the sidecar does not answer. */
  async ranges(camera: KnownCamera, { fromMs, toMs }: TimeRange, signal: AbortSignal): Promise<TimeRange[]> {
    const { ranges } = await this.#ask(camera, { v: 1, uid: camera.uid, ask: 'ranges', fromMs, toMs }, decodeRanges, signal)
    return ranges.map(([from, to]) => ({ fromMs: from, toMs: to }))
  }

  /** Packets from the keyframe at or before `fromMs` on, or else from the first on. Reading throws a Refusal where the sidecar does not answer. */
  from(camera: KnownCamera, fromMs: number): PacketSource {
    return { read: (_seq, _onBad, signal) => this.#read(camera, fromMs, signal) }
  }

  async *#read(camera: KnownCamera, fromMs: number, signal: AbortSignal): AsyncGenerator<Read> {
    const { uid } = camera
    let request: ArchiveRequest = { v: 1, uid, ask: 'packets', fromMs }
    let last: ArchivePlace | undefined
    const joined = new Joined()
    while (!signal.aborted) {
      const answer: ArchivePackets & { bytes: Uint8Array } = await this.#ask(camera, request, decodePackets, signal)
      for (const packet of this.#checked(() => joined.add(answer))) yield { packet, caughtUp: false, seq: undefined }
      const { next } = answer
      if (next === undefined) break
      if (last !== undefined && !isAfter(next, last)) throw new Refusal('unavailable', 'the archive cannot be read: it does not go on')
      last = next
      request = { v: 1, uid, ask: 'packets', at: next }
    }
    yield { packet: undefined, caughtUp: true, seq: undefined }
  }

  async #ask<T extends ArchiveAnswer>(
    { ref }: KnownCamera,
    request: ArchiveRequest,
    decode: (answer: Uint8Array) => T,
    signal: AbortSignal,
  ): Promise<Exclude<T, ArchiveProblem>> {
    for (let i = 0; i < TRIES; i++) {
      const data = await this.#request(archiveSubject(ref), request, signal)
      const answer = this.#checked(() => decode(data))
      if (!isProblem(answer)) return answer as Exclude<T, ArchiveProblem>
      if (answer.problem === 'unreadable') throw new Refusal('unavailable', 'the archive cannot be read: see the log of the camera’s pod')
      await unlessAborted(new Promise(resolve => setTimeout(resolve, RETRY_MS)), signal)
    }
    throw new Refusal('exhausted', 'the camera’s pod answers too many questions about its archive: try again')
  }

  #checked<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      if (!(error instanceof BadMessage)) throw error
      this.#onBad(error)
      throw new Refusal('unavailable', 'the archive cannot be read: the camera’s pod answers something else')
    }
  }

  async #request(subject: string, request: ArchiveRequest, signal: AbortSignal): Promise<Uint8Array> {
    const link = this.#link()
    if (link === undefined || !link.connected()) throw new Refusal('unavailable', 'the archive cannot be reached: NATS is unreachable')
    const { nc, inbox } = link
    try {
      const how = { timeout: ANSWER_MS, noMux: true, reply: `${inbox}.${randomUUID()}` }
      return (await unlessAborted(nc.request(subject, JSON.stringify(request), how), signal)).data
    } catch (error) {
      if (!(error instanceof NatsError)) throw error
      throw new Refusal('unavailable', 'the archive cannot be reached: the camera’s pod does not answer')
    }
  }
}

const isProblem = (answer: ArchiveAnswer): answer is ArchiveProblem => 'problem' in answer

const isAfter = (a: ArchivePlace, b: ArchivePlace): boolean => (a.startMs - b.startMs || a.sample - b.sample || a.offset - b.offset) > 0

/** Packets whose bytes may come in several answers. */
class Joined {
  #parts: Uint8Array[] = []
  #bytes = 0

  /** Those that are whole now. */
  add({ packets, bytes, codec, offset }: ArchivePackets & { bytes: Uint8Array }): StoredPacket[] {
    if (offset !== this.#bytes) throw new BadMessage('incomplete', 'a part of an archived packet is missing')
    let at = 0
    const whole: StoredPacket[] = []
    for (const { size, ...packet } of packets) {
      const part = bytes.subarray(at, at + size - this.#bytes)
      at += part.length
      this.#parts.push(part)
      this.#bytes += part.length
      if (this.#bytes < size) break
      const data = this.#parts.length === 1 ? part : Buffer.concat(this.#parts)
      this.#parts = []
      this.#bytes = 0
      whole.push({ ...packet, corrupt: false, keySeq: 0, data, ...(packet.key && codec !== undefined ? { codec } : {}) })
    }
    return whole
  }
}
