import { parseArgs } from 'node:util'

export type DiscoverOptions = {
  interfaces: string[]
  cidrs: string[]
  /** A folder with the files `username` and `password`. */
  credentials: string | undefined
  /** The Secret that the Cameras name. */
  secret: string
  namespace: string
  profile: string
  /** Where manifests go. */
  write: string | undefined
}

export const HELP = `usage: npm run discover -- [options]

Lists the ONVIF cameras of a network, and writes manifests for those that can be used.
Nothing is sent anywhere but to the interfaces and ranges that are named.

  -i, --interface NAME     search by multicast on this network interface; may be repeated
  -c, --cidr RANGE         search each address of this range, such as 10.0.20.0/24; may be repeated
      --credentials DIR    a folder with the files username and password; one login is tried per camera, and not again for ten minutes
      --profile P          main (default), sub, or the token of a profile
  -w, --write FILE         write a Camera for each camera that can be used to this new file
      --secret NAME        the Secret that the Cameras name (default: cameras)
  -n, --namespace NAME     the namespace of the Cameras (default: default)
      --help               this text
`

type Parsed = { do: 'discover'; options: DiscoverOptions } | { do: 'help' } | { do: 'refuse'; problem: string }

export function parseDiscoverOptions(args: string[]): Parsed {
  try {
    const { values } = parseArgs({
      args,
      options: {
        interface: { type: 'string', short: 'i', multiple: true, default: [] },
        cidr: { type: 'string', short: 'c', multiple: true, default: [] },
        credentials: { type: 'string' },
        secret: { type: 'string', default: 'cameras' },
        namespace: { type: 'string', short: 'n', default: 'default' },
        profile: { type: 'string', default: 'main' },
        write: { type: 'string', short: 'w' },
        help: { type: 'boolean', short: 'h', default: false },
      },
    })
    if (values.help) return { do: 'help' }
    const { interface: interfaces, cidr: cidrs, ...rest } = values
    if (interfaces.length + cidrs.length === 0) return { do: 'refuse', problem: 'name an --interface or a --cidr to search' }
    const { credentials, write, secret, namespace, profile } = rest
    return { do: 'discover', options: { interfaces, cidrs, credentials, write, secret, namespace, profile } }
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
    return { do: 'refuse', problem: error.message.split('. ')[0] ?? error.message }
  }
}
