// The table of docs/nats.md, from proto/permissions.ts.
import { cameraPermissions, discoveryPermissions, rolePermissions, type Permissions } from '../../proto/permissions.ts'
import { filled, table, type Page } from './page.ts'

/** Stands for any camera. */
const SAMPLE = { namespace: 'namespace', name: 'name' }

const list = (subjects: readonly string[] = []): string =>
  subjects.length === 0 ? '–' : subjects.map(subject => `\`${subject}\``).join('<br>')

const row = (who: string, { pub, sub, resp }: Permissions): string[] => [
  who,
  list(pub.allow),
  list(pub.deny),
  list(sub.allow),
  resp === undefined ? '–' : `${resp.max} in ${resp.ttl / 1e9} s`,
]

export const natsPage = (): Promise<Page> =>
  filled('nats.md', {
    permissions: table(
      ['user', 'may publish', 'except', 'may subscribe', 'may reply'],
      [
        row('camera `namespace/name`', cameraPermissions(SAMPLE)),
        row('discovery `namespace/name`', discoveryPermissions(SAMPLE)),
        row('gateway', rolePermissions('gateway')),
        row('operator', rolePermissions('operator')),
      ],
    ),
  })
