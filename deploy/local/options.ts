import { parseArgs } from 'node:util'
import { LOG_LEVELS, type LogLevel } from '../../proto/settings.ts'

export type Options = {
  /** Manifests; none: the demo camera. */
  files: string[]
  /** Of gRPC; 0: any free one. */
  port: number
  /** Of HTTP; 0: any free one; undefined: 8080, or any other where that is taken. */
  httpPort: number | undefined
  /** Where the buffer, archives and logs are kept; undefined: a folder that goes away at the end. */
  data: string | undefined
  /** From which level on the processes' logs are shown. */
  logLevel: LogLevel
}

export const HELP = `usage: npm start -- [options]

Runs cameras on this machine, without a cluster. Reachable from this machine only.

  -f, --file FILE     Cameras, and Secrets with their credentials, as for kubectl apply; may be repeated.
                      Without it: a demo camera.
      --port PORT     port of the gRPC service (default 50001; 0 takes any free one)
      --http-port P   port of the page and of frames by URL (default 8080, or another one if it is taken)
      --data DIR      keep the buffer, archives and logs here (default: a temporary folder, removed at the end)
      --log-level L   which lines of the processes' logs are shown here: debug, info, warn (default), error
      --help          this text

Variables CHRYS_CLOUD_* and CHRYS_ANNOTATION_*, see docs/settings.md, are passed on to the gateway.
`

export function parseOptions(args: string[]): { do: 'run'; options: Options } | { do: 'help' } | { do: 'refuse'; problem: string } {
  try {
    const { values } = parseArgs({
      args,
      options: {
        file: { type: 'string', short: 'f', multiple: true, default: [] },
        port: { type: 'string', default: '50001' },
        'http-port': { type: 'string' },
        data: { type: 'string' },
        'log-level': { type: 'string', default: 'warn' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return { do: 'help' }
    const { port: grpc, 'http-port': http } = values
    for (const [name, text] of [['--port', grpc] as const, ['--http-port', http ?? '0'] as const]) {
      if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535)
        return { do: 'refuse', problem: `${name} must be a whole number from 0 to 65535` }
    }
    const [port, httpPort] = [Number(grpc), http === undefined ? undefined : Number(http)]
    const logLevel = LOG_LEVELS.find(level => level === values['log-level'])
    if (logLevel === undefined) return { do: 'refuse', problem: `--log-level must be one of ${LOG_LEVELS.join(', ')}` }
    if (values.data === '') return { do: 'refuse', problem: '--data must name a folder' }
    return { do: 'run', options: { files: values.file, port, httpPort, data: values.data, logLevel } }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return { do: 'refuse', problem: error.message.split('. ')[0] ?? error.message }
  }
}
