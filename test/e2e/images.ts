// The images that the cluster runs. None is pulled: they go to the node as an archive, as on a site without internet.
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'yaml'
import { readFileSync } from 'node:fs'
import { onPath } from '../../common/which.mjs'
import { natsServerPath } from '../../deploy/local/locate-nats.ts'
import { buildImage } from '../../deploy/image/build.ts'
import { hasImage, imageOf, podmanOk } from '../../deploy/image/podman.ts'
import { PAUSE_IMAGE } from './node-config.ts'

/** What `global.imageRegistry` says. */
export const REGISTRY = 'registry.e2e'

type Image = { registry: string; repository: string; tag: string }
type Values = { image: Image; nats: { image: Image } }

const chart = (file: string): unknown =>
  parse(readFileSync(new URL(`../../charts/chrysalis-edge/${file}`, import.meta.url), 'utf8')) as unknown

/** The names that the chart gives them; without a registry those of the chart's own. */
export function imageNames(registry: string): { ours: string; nats: string } {
  const { image, nats } = chart('values.yaml') as Values
  const { appVersion } = chart('Chart.yaml') as { appVersion: string }
  return {
    ours: `${registry || image.registry}/${image.repository}:${image.tag || appVersion}`,
    nats: `${registry || nats.image.registry}/${nats.image.repository}:${nats.image.tag}`,
  }
}

/** Builds them where they are not up to date, and writes them all into one archive. */
export async function archiveImages(folder: string): Promise<string> {
  const { ours, nats } = imageNames(REGISTRY)
  await buildImage(ours)
  imageOf(nats, { '/nats-server': natsServerPath(process.env), ...withLibraries('/bin/sh', '/usr/bin/wget') }, ['/nats-server'])
  if (!hasImage(PAUSE_IMAGE)) {
    const program = join(folder, 'pause')
    const source = fileURLToPath(new URL('pause.go', import.meta.url))
    const go = onPath('go', process.env)
    if (go === undefined) throw new Error('the pause image needs Go: install it (go.dev)')
    execFileSync(go, ['build', '-trimpath', '-ldflags=-s -w', '-o', program, source], { env: { ...process.env, CGO_ENABLED: '0' } })
    imageOf(PAUSE_IMAGE, { '/pause': program }, ['/pause'])
  }
  const archive = join(folder, 'images.tar')
  podmanOk(['save', '--quiet', '--multi-image-archive', '--output', archive, ours, nats, PAUSE_IMAGE])
  return archive
}

/** Programs of this machine, where they are, with what they load. The liveness probe of NATS runs them. */
function withLibraries(...programs: string[]): Record<string, string> {
  const libraries = programs.flatMap(program => execFileSync('ldd', [program], { encoding: 'utf8' }).match(/\/\S+/g) ?? [])
  return Object.fromEntries([...programs, ...libraries].map(path => [path, path]))
}
