// The Transport header (RFC 2326 12.39) as cameras answer it.

export type Channels = { rtp: number; rtcp: number }

/** The channels of interleaved RTP: those that were asked for, unless the camera names others. */
export function channelsOf(transport: string | undefined, asked: Channels): Channels {
  const [, rtp, rtcp] = /interleaved\s*=\s*(\d{1,3})(?:\s*-\s*(\d{1,3}))?/i.exec(transport ?? '') ?? []
  if (rtp === undefined || Number(rtp) > 255) return asked
  return { rtp: Number(rtp), rtcp: rtcp === undefined || rtcp === rtp ? Number(rtp) + 1 : Number(rtcp) }
}

/** It answers a wish for interleaved RTP with RTP beside the connection. */
export const isByUdp = (transport: string | undefined): boolean =>
  transport !== undefined &&
  !/interleaved/i.test(transport) &&
  !/RTP\/\w+\/TCP/i.test(transport) &&
  /(client_port|server_port)/i.test(transport)

/** Of an answer to a wish for RTP by UDP: the camera agreed to something else. */
export const isByTcp = (transport: string | undefined): boolean => transport !== undefined && /(RTP\/\w+\/TCP|interleaved)/i.test(transport)

export const serverPorts = (transport: string | undefined): string | undefined =>
  /server_port\s*=\s*(\d{1,5}(?:-\d{1,5})?)/i.exec(transport ?? '')?.[1]

export const clientPorts = (transport: string): string | undefined => /client_port=(\d{1,5}(?:-\d{1,5})?)/i.exec(transport)?.[1]
