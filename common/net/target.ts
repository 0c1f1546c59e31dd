// Where an HTTP request goes.
import { splitUrl } from './url.ts'

export type Origin = { tls: boolean; host: string; port: number }
/** `path`: with the query, as it stands in the URL. */
export type Target = { origin: Origin; path: string }

/** Undefined for another protocol than HTTP. */
export function targetOf(text: string): Target | undefined {
  const url = splitUrl(text)
  if (url === undefined || url.host === '' || !/^https?$/.test(url.scheme)) return undefined
  const tls = url.scheme === 'https'
  const path = url.rest.startsWith('/') ? url.rest : `/${url.rest}`
  return { origin: { tls, host: url.host, port: url.port ?? (tls ? 443 : 80) }, path }
}

export const urlOf = ({ origin, path }: Target): string => `${origin.tls ? 'https' : 'http'}://${origin.host}:${origin.port}${path}`

/** As the header Host has it. */
export const hostOf = ({ tls, host, port }: Origin): string => (port === (tls ? 443 : 80) ? host : `${host}:${port}`)
