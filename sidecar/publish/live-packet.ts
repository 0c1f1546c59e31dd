// A packet as messages, and its way to those who listen now, where it is kept nowhere.
import type { NatsConnection } from 'nats'
import { messageOf } from '../../common/errors.ts'
import type { Logger } from '../../common/log.ts'
import { packetMessages, type Outgoing, type Packet } from '../../proto/messages.ts'
import type { Codec } from '../../proto/state.ts'

const HEADER_ROOM = 128 * 1024
/** The server's own default of 1 MiB leaves no room for large headers: extradata is a few hundred bytes in practice. */
const headerRoom = (payloadMax: number) => Math.min(HEADER_ROOM, Math.floor(payloadMax / 4))

/** As large as the server takes them. */
export function messagesFor(nc: NatsConnection, uid: string, packet: Packet, keySeq: number, codec: Codec): Outgoing[] {
  const serverMax = nc.info?.max_payload ?? 2 ** 20
  return packetMessages(uid, packet, keySeq, codec, serverMax - headerRoom(serverMax))
}

export function publishLive(nc: NatsConnection, subject: string, uid: string, packet: Packet, codec: Codec, log: Logger): void {
  try {
    for (const { headers, payload } of messagesFor(nc, uid, packet, 0, codec)) nc.publish(subject, payload, { headers })
  } catch (error) {
    log.debug({ error: messageOf(error) }, 'could not publish a packet')
  }
}
