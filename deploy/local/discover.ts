// The cameras of a network, listed and written as manifests: `npm run discover`.
import { createHash } from 'node:crypto'
import { mkdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { cacheFolder } from '../../common/cache.mjs'
import { messageOf } from '../../common/errors.ts'
import { denied } from '../../common/net/address.ts'
import { readCredentials } from '../../common/net/credentials.ts'
import { Discovery, LOGIN_EVERY_MS } from '../../common/onvif/discover.ts'
import { allInterfaces, networksOf } from '../../common/onvif/search.ts'
import { cameraManifest, cameraNameOf, type DiscoveredDevice } from '../../proto/discovery.ts'
import { explain } from '../../proto/reasons.ts'
import { HELP, parseDiscoverOptions, type DiscoverOptions } from './discover-options.ts'
import { fromUser } from './user-path.ts'

const EXIT = { failure: 1, usage: 64 } as const
const LOGINS = join(cacheFolder(process.env), 'onvif-logins')

const say = (line: string) => void process.stderr.write(`${line}\n`)

async function discover(options: DiscoverOptions): Promise<void> {
  const { interfaces, cidrs, credentials: folder, profile } = options
  const credentials = folder === undefined ? undefined : await readCredentials(fromUser(folder))
  const mayLogIn = (device: string) => takeTurn(`${folder === undefined ? '' : fromUser(folder)} ${device}`)
  const area = { interfaces, cidrs, deny: denied([]) }
  const devices = await new Discovery(area, { credentials: async () => credentials, profile, mayLogIn }).search(
    new AbortController().signal,
  )
  for (const device of devices) process.stdout.write(`${lineOf(device)}\n`)
  const good = devices.filter(({ reason }) => reason === 'OnvifFound')
  say(`${devices.length} found, ${good.length} of them can be used`)
  if (options.write === undefined || good.length === 0) return
  const file = fromUser(options.write)
  await writeFile(file, manifestsOf(good, options), { flag: 'wx' })
  say(`${file}: ${good.length} Cameras`)
}

function lineOf({ address, uuid, name, maker, model, profiles, reason, message }: DiscoveredDevice): string {
  const what = [maker, model].filter(text => text !== undefined && text !== '').join(' ') || name
  const streams = profiles.map(({ encoding, width, height }) => `${encoding} ${width}x${height}`).join(', ')
  const verdict = reason === 'OnvifFound' ? cameraNameOf(uuid) : `${reason}: ${explain(reason, message)}`
  return [address, what, streams, verdict].filter(text => text !== '').join('  ')
}

function manifestsOf(
  devices: readonly DiscoveredDevice[],
  { interfaces, cidrs, secret, namespace, profile, credentials }: DiscoverOptions,
): string {
  const where = [...new Set([...cidrs, ...networksOf(interfaces)])]
  const options = { namespace, cidrs: where, profile, secret: credentials === undefined ? undefined : secret, template: {} }
  return devices
    .map(
      device =>
        `# ${[device.maker, device.model, device.serial].join(' ').trim()}, at ${device.address}\n${stringify(cameraManifest(device, options))}`,
    )
    .join('---\n')
}

/** Once in ten minutes for each device and credentials, whichever process asks: who makes the file has the turn. */
async function takeTurn(key: string): Promise<boolean> {
  await mkdir(LOGINS, { recursive: true })
  const file = join(LOGINS, createHash('sha256').update(key).digest('hex'))
  const madeMs = await stat(file).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  )
  if (madeMs !== undefined && Math.abs(Date.now() - madeMs) < LOGIN_EVERY_MS) return false
  if (madeMs !== undefined) await rm(file, { force: true })
  return await writeFile(file, '', { flag: 'wx' }).then(
    () => true,
    () => false,
  )
}

const parsed = parseDiscoverOptions(process.argv.slice(2))
if (parsed.do === 'help') {
  process.stdout.write(HELP)
} else if (parsed.do === 'refuse') {
  say(`${parsed.problem} (interfaces here: ${allInterfaces().join(', ') || 'none'}); see npm run discover -- --help`)
  process.exitCode = EXIT.usage
} else {
  await discover(parsed.options).catch((error: unknown) => {
    say(messageOf(error))
    process.exitCode = EXIT.failure
  })
}
