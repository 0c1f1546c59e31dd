import { parseArgs } from 'node:util'
import type { Placement } from '../proto/camera.ts'
import type { ChainEnv } from './chain.ts'

export type Options = {
  /** Names of scenarios; empty: the usual ones. */
  scenarios: readonly string[]
  /** How long each measurement takes. */
  seconds: number
  /** Instead of the scenarios: watch for growth for so long. */
  soakMinutes: number | undefined
  /** During a soak processes are killed and stand still. */
  faults: boolean
  jsonFile: string | undefined
  /** Where frames are decoded, in the scenarios that don't compare placements. */
  placement: Placement
  env: ChainEnv
}

export const usage = (names: readonly string[], usual: readonly string[]) => `npm run bench -- [SCENARIO…] [options]
  SCENARIO          one or more of: ${names.join(', ')};
                    ${usual.join(', ')} unless given
  --seconds N       how long each measurement takes; 8 unless given
  --soak MINUTES    instead: one 1080p15 camera with a client, watched for growth
  --faults          with --soak: every 20 s an ffmpeg or nats-server is killed or stands still, or clients vanish
  --json FILE       writes everything that was measured to the file
  --placement P     Sidecar or Gateway: where frames are decoded. Unless given, 720p15 to 1080p30 measure both, what else has a
                    choice leaves it to the gateway (Auto)
  --env NAME=VALUE  adds to the environment of sidecar and gateway; may be repeated. For profiles:
                    --env NODE_OPTIONS='--cpu-prof --cpu-prof-dir=FOLDER'`

/** Throws an Error that tells what is wrong. */
export function readOptions(args: readonly string[], names: readonly string[]): Options | 'help' {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      seconds: { type: 'string', default: '8' },
      soak: { type: 'string' },
      json: { type: 'string' },
      faults: { type: 'boolean', default: false },
      placement: { type: 'string', default: 'Auto' },
      env: { type: 'string', multiple: true, default: [] },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return 'help'
  const unknown = positionals.filter(name => !names.includes(name))
  if (unknown.length > 0) throw new Error(`no such scenario: ${unknown.join(', ')}; there are ${names.join(', ')}`)
  return {
    scenarios: positionals,
    seconds: amount('--seconds', values.seconds, 2),
    soakMinutes: values.soak === undefined ? undefined : amount('--soak', values.soak, 3),
    faults: values.faults,
    jsonFile: values.json,
    placement: placementOf(values.placement),
    env: Object.fromEntries(values.env.map(readVariable)),
  }
}

function placementOf(text: string): Placement {
  const placement = (['Auto', 'Sidecar', 'Gateway'] as const).find(each => each === text)
  if (placement === undefined) throw new Error(`--placement must be Auto, Sidecar or Gateway, not ${text}`)
  return placement
}

function readVariable(text: string): [string, string] {
  const at = text.indexOf('=')
  if (at < 1) throw new Error(`--env must be NAME=VALUE, not ${text}`)
  return [text.slice(0, at), text.slice(at + 1)]
}

function amount(name: string, text: string, min: number): number {
  const value = Number(text)
  if (!(value >= min && value <= 1440)) throw new Error(`${name} must be a number from ${min} to 1440, not ${text}`)
  return value
}
