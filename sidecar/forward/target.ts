// Where the stream is forwarded to: the URL of an RTMP server, from a file that only this process may read. All of it is a secret, and none
// of it stands in any message.
import { Failure } from '../../common/errors.ts'
import { readMounted } from '../../common/watch-files.ts'
import { RTMP_PORTS } from '../source/drivers/rtmp.ts'

export type Target = {
  tls: boolean
  /** `user:password@` as it stands in the URL; empty when there is none. */
  userInfo: string
  host: string
  port: number
  /** What servers are told of where they are: the URL up to the application. */
  tcUrl: string
  app: string
  /** Behind the application's slash: the stream key, and what may follow it behind a `?`. */
  playPath: string
  /** The last element of the path. */
  streamKey: string
  /** What must not be seen in a log. */
  secrets: readonly string[]
}

const URL_PARTS = /^(rtmps?):\/\/(?:([^@/?#\s]*)@)?(\[[0-9a-fA-F:.]+\]|[^:/?#@[\]\s]+)(?::(\d{1,5}))?\/([^?#\s]*)(\?[^#\s]*)?$/

/** Throws Failure ForwardingTargetInvalid, without repeating any of `text`. */
export function parseTarget(text: string): Target {
  const invalid = (why: string) => new Failure('ForwardingTargetInvalid', `the URL in the Secret that spec.proxy.urlSecretRef names ${why}`)
  if (!/^rtmps?:\/\//.test(text)) throw invalid('must start with rtmp:// or rtmps://')
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u0020\u007f]/.test(text)) throw invalid('must hold no spaces, line breaks or control characters')
  const parts = URL_PARTS.exec(text)
  const [, scheme, userInfo, host = '', portText, path = '', query = ''] = parts ?? []
  const elements = path.split('/').filter(element => element !== '')
  if (parts === null || elements.length === 0) throw invalid('must be one such as rtmp://host/app/key')
  const port = portText === undefined ? RTMP_PORTS[scheme as 'rtmp' | 'rtmps'] : Number(portText)
  if (port < 1 || port > 65_535) throw invalid('must have a port from 1 to 65535, or none')
  const streamKey = elements.at(-1) ?? ''
  const app = elements.length === 1 ? streamKey : elements.slice(0, -1).join('/')
  const playPath = elements.length === 1 ? query : `${streamKey}${query}`
  const password = userInfo?.split(':').slice(1).join(':') ?? ''
  return {
    tls: scheme === 'rtmps',
    userInfo: userInfo === undefined || userInfo === '' ? '' : `${userInfo}@`,
    host,
    port,
    tcUrl: `${scheme}://${host}${portText === undefined ? '' : `:${port}`}/${app}`,
    app,
    playPath,
    streamKey,
    secrets: [text, playPath, streamKey, query.slice(1), userInfo ?? '', password].filter(secret => secret !== ''),
  }
}

/** Undefined where there is no such file: a Secret that does not exist (yet). */
export const readTargetText = async (file: string): Promise<string | undefined> => (await readMounted(file))?.trimEnd()

export const targetMissing = () =>
  new Failure('ForwardingTargetMissing', 'the Secret that spec.proxy.urlSecretRef names does not exist, or lacks the key')

export const noTarget = () => new Failure('ForwardingTargetMissing', 'spec.proxy.urlSecretRef names no RTMP server')
