// docs/settings.md, from proto/settings.ts.
import {
  CLOUD,
  GATEWAY,
  MAKE_CERTIFICATES,
  MAKE_IDENTITY,
  OPERATOR,
  RELEASE_FINALIZERS,
  SEARCH,
  SERVICE,
  SIDECAR,
  type Setting,
  type Settings,
} from '../../proto/settings.ts'
import { table, type Page } from './page.ts'

function valuesOf(setting: Setting): string {
  switch (setting.type) {
    case 'integer':
      return setting.max === Number.MAX_SAFE_INTEGER ? `whole number from ${setting.min}` : `${setting.min} to ${setting.max}`
    case 'bytes':
      return `bytes, \`${setting.min}\` to \`${setting.max}\``
    case 'choice':
      return setting.of.map(value => `\`${value}\``).join(', ')
    case 'list':
      return 'list, separated by commas'
    case 'url':
      return `URL (${setting.schemes.map(scheme => `\`${scheme}\``).join(', ')})`
    case 'readable':
      return 'path, readable at start'
    case 'text':
    case 'path':
      return setting.type
    case 'json':
      return 'JSON'
  }
}

function defaultOf(setting: Setting): string {
  if ('required' in setting) return '**required**'
  if (setting.otherwise !== undefined) return setting.otherwise
  const value = 'default' in setting ? setting.default : undefined
  if (value === undefined) return ''
  if (typeof value === 'string' || typeof value === 'number') return `\`${value}\``
  return Array.isArray(value) ? value.map(item => `\`${item}\``).join(', ') : `\`${JSON.stringify(value)}\``
}

function settingTable(settings: Settings, besides: Settings = {}): string {
  const own = Object.entries(settings).filter(([name]) => !Object.hasOwn(besides, name))
  return table(
    ['variable', 'values', 'default', 'description'],
    own.map(([name, setting]) => [`\`${name}\``, valuesOf(setting), defaultOf(setting), setting.about]),
  )
}

const text = (): string => `# Settings

Every program reads its settings from environment variables, once, when it starts.
If one is wrong, the program does not start: it exits with code 78 and writes a line for each problem, \`config: NAME: reason\`, all at once.
An unknown variable that begins with \`CHRYS_\` is a problem, so a misspelled name is found.
An empty variable counts as absent.

On a cluster the Helm chart sets them from its values ([install.md](install.md)), and the operator sets those of the sidecars.
Credentials are never in a variable: variables name the files that hold them.
This page is generated from \`proto/settings.ts\`.

## Sidecar, gateway and operator

${settingTable(SERVICE)}

The operator gives its log settings to the sidecars.

## Sidecar

In addition to those above. The operator, or local mode, sets all of them.

${settingTable(SIDECAR, SERVICE)}

## Discovery

The pod of a \`CameraDiscovery\` ([discovery.md](discovery.md)), in addition to those above. The operator sets all of them.

${settingTable(SEARCH, SERVICE)}

## Gateway

In addition to those above. The pair of certificate and key is checked at start; a changed pair that cannot be used is refused and the old one stays
(\`TlsReloadFailed\` in the log, metric \`chrysalis_tls_reload_failed\`).

${settingTable(GATEWAY, { ...SERVICE, ...CLOUD })}

For the cloud and annotations ([annotations.md](annotations.md)):

${settingTable(CLOUD)}

## Operator

In addition to those above.

${settingTable(OPERATOR, SERVICE)}

## The chart's Jobs

\`operator/make-identity.ts\` makes the NATS users ([nats.md](nats.md)):

${settingTable(MAKE_IDENTITY)}

\`operator/make-certificates.ts\` makes the certificates of the gateway and of NATS with the chart's own authority ([install.md](install.md#tls-for-clients)):

${settingTable(MAKE_CERTIFICATES)}

\`operator/release-finalizers.ts\` removes the finalizers of all Cameras when the chart is uninstalled:

${settingTable(RELEASE_FINALIZERS)}

## Local mode

\`npm start\` takes options (\`npm start -- --help\`), and of these variables those of the cloud and of annotations, which it gives to the gateway.
Name files by absolute paths.

## Variables of other programs

| variable | description |
|---|---|
| \`FFMPEG_PATH\` | The ffmpeg that sidecar and gateway run. |
| \`NATS_SERVER\` | The nats-server that local mode runs. |
| \`NODE_EXTRA_CA_CERTS\` | File with more authorities (PEM) that Node trusts. |
`

export const settingsPage = async (): Promise<Page> => ({ name: 'settings.md', text: text() })
