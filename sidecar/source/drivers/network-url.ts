import { splitUrl } from '../../../common/net/url.ts'

export type NetworkUrl = { scheme: string; isTls: boolean; host: string; port: number; path: string; origin: string }

/** A URL with a host and without credentials. Throws an Error that says what is wrong with `text`, without repeating it. */
export function parseNetworkUrl(text: string, defaultPorts: Readonly<Record<string, number>>): NetworkUrl {
  const wrong = (what: string) => new Error(`spec.source.url: ${what}`)
  const url = splitUrl(text)
  if (url === undefined) throw wrong('a host is required, by name or address, and a port of 1-65535 if any')
  const { scheme, userInfo, host, port, rest: path } = url
  if (userInfo !== '') throw wrong('credentials belong in spec.source.credentialsSecretRef')
  if (host === '') throw wrong('a host is required')
  const origin = `${scheme}://${host}${port === undefined ? '' : `:${port}`}`
  return { scheme, isTls: scheme.endsWith('s'), host, port: port ?? defaultPorts[scheme] ?? 0, path, origin }
}
