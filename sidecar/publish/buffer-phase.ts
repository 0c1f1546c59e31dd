/**
 * - `preparing`: the packet stream is not known to be there. Packets are dropped until it is.
 * - `storing`: packets are published, and acknowledged.
 * - `refused`: NATS answered that it does not take a packet. The stream is prepared again.
 * - `trying`: prepared again after a refusal. Packets are published, and the first that is acknowledged ends the trouble.
 */
export type BufferPhase = 'preparing' | 'storing' | 'refused' | 'trying'

export type BufferEvent =
  /** The stream is there, as the spec wants it. */
  | 'prepared'
  | 'acknowledged'
  | 'refused'
  /** The stream must be looked for again: NATS was unreachable, or had lost it, or this process let go of the camera. */
  | 'interrupted'

const NEXT: Readonly<Record<BufferEvent, Readonly<Record<BufferPhase, BufferPhase>>>> = {
  prepared: { preparing: 'storing', storing: 'storing', refused: 'trying', trying: 'trying' },
  // An answer may come late, when the stream is being prepared again.
  acknowledged: { preparing: 'preparing', storing: 'storing', refused: 'preparing', trying: 'storing' },
  refused: { preparing: 'refused', storing: 'refused', refused: 'refused', trying: 'refused' },
  interrupted: { preparing: 'preparing', storing: 'preparing', refused: 'refused', trying: 'refused' },
}

export const nextBufferPhase = (phase: BufferPhase, event: BufferEvent): BufferPhase => NEXT[event][phase]

/** Packets may be published. */
export const isOpen = (phase: BufferPhase): boolean => phase === 'storing' || phase === 'trying'
