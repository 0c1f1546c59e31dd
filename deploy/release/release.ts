// What a release is made of, step by step. A step that can't be done is named with its reason, and the others go on.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { copyFile, mkdir, rename, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { promisify } from 'node:util'
import { isProgram } from '../../common/which.mjs'
import { buildImage } from '../image/build.ts'
import { missingPodman, podman, podmanOk } from '../image/podman.ts'
import { helmProgram } from '../setup/helm.mjs'
import { PYTHON_MISSING, testPython } from '../setup/test-tools.mjs'
import { debianPackages, type DebianPackage } from './debian.ts'
import type { Options } from './options.ts'
import { mergedSbom, type Sbom } from './sbom.ts'
import { sourceList } from './sources.ts'
import { readVersion } from './versions.ts'

const NAME = 'chrysalis-edge'
const IMAGE = `docker.io/chrysalis/${NAME}`

export type Release = { files: string[]; missing: string[] }
type Contents = { packages: DebianPackage[]; node: string }

/** `say` hears of each step before it begins. */
export async function makeRelease(root: string, { out, nodeImage, withImage }: Options, say: (line: string) => void): Promise<Release> {
  const { version, problems } = readVersion(root)
  if (problems.length > 0) throw new Error(`package.json says ${version}, but ${problems.join(', ')}`)
  await mkdir(out, { recursive: true })
  const base = `${NAME}-${version}`
  const files: string[] = []
  const missing: string[] = []
  const revision = await revisionOf(root, missing)

  say(`chart: ${base}.tgz`)
  const noChart = await packageChart(root, out)
  if (noChart === undefined) files.push(`${base}.tgz`)
  else missing.push(noChart)

  say(`manifests: ${base}.yaml`)
  await copyFile(join(root, 'deploy/manifests/chrysalis-edge.yaml'), join(out, `${base}.yaml`))
  files.push(`${base}.yaml`)

  const wheel = `chrysalis_edge-${version}-py3-none-any.whl`
  say(`Python client: ${wheel}`)
  const noWheel = await packageClient(root, out)
  if (noWheel === undefined) files.push(wheel)
  else missing.push(noWheel)

  const noImage = withImage ? missingPodman() : 'it was not asked for'
  let contents: Contents | undefined
  if (noImage === undefined) {
    const archive = `${base}-linux-amd64.oci.tar`
    say(`image: ${archive} (the first build compiles ffmpeg, for about ten minutes)`)
    await buildImage(`${IMAGE}:${version}`, { nodeImage, revision })
    await saveImage(`${IMAGE}:${version}`, join(out, archive))
    contents = contentsOf(`${IMAGE}:${version}`)
    files.push(archive)
    if (nodeImage === undefined) missing.push('base image by digest: built on a look-alike made here; pass --node-image NAME@sha256:…')
    else if (!nodeImage.includes('@sha256:')) missing.push(`base image by digest: ${nodeImage} is no digest`)
  } else missing.push(`image, and its Debian packages in the SBOM: ${noImage}`)

  say(`SBOM: ${base}.cdx.json`)
  const sbom = mergedSbom(await npmSbom(root), contents?.packages ?? [], contents?.node)
  await writeFile(join(out, `${base}.cdx.json`), `${JSON.stringify(sbom, null, 2)}\n`)
  files.push(`${base}.cdx.json`)

  if (contents !== undefined) {
    say(`sources of GPL and LGPL parts: ${base}-sources.txt`)
    await writeFile(join(out, `${base}-sources.txt`), sourceList(`${IMAGE}:${version}`, contents.packages, sbom))
    files.push(`${base}-sources.txt`)
  } else missing.push('list of sources: it is made of the image')

  say('checksums: SHA256SUMS')
  await writeFile(join(out, 'SHA256SUMS'), await checksums(out, files))
  return { files: [...files, 'SHA256SUMS'], missing }
}

async function revisionOf(root: string, missing: string[]): Promise<string | undefined> {
  try {
    const git = async (...args: string[]) => (await promisify(execFile)('git', args, { cwd: root })).stdout.trim()
    if ((await git('status', '--porcelain')) !== '') missing.push('a commit that stands for it: the checkout has changes')
    return await git('rev-parse', 'HEAD')
  } catch {
    missing.push('a commit that stands for it: git does not know this folder')
    return undefined
  }
}

/** Why there is no chart; undefined where it was made. */
async function packageChart(root: string, out: string): Promise<string | undefined> {
  const helm = helmProgram(process.env)
  if (helm === undefined) return 'chart: helm is missing (see deploy/setup/helm.mjs)'
  await promisify(execFile)(helm, ['package', join(root, 'charts/chrysalis-edge'), '--destination', out])
  return undefined
}

/** Why there is no wheel; undefined where it was made. */
async function packageClient(root: string, out: string): Promise<string | undefined> {
  const python = testPython(process.env)
  if (!isProgram(python)) return `Python client: ${PYTHON_MISSING}`
  const args = ['-m', 'hatchling', 'build', '--target', 'wheel', '--directory', resolve(out)]
  await promisify(execFile)(python, args, { cwd: join(root, 'clients/python') })
  return undefined
}

/** Under its name only when it is whole: podman adds to an archive that is there. */
async function saveImage(image: string, file: string): Promise<void> {
  const part = `${file}.${process.pid}.part`
  podmanOk(['save', '--quiet', '--format', 'oci-archive', '--output', part, image], { timeoutMs: 600_000 })
  await rename(part, file)
}

function contentsOf(image: string): Contents {
  const root = podmanOk(['image', 'mount', image]).trim()
  try {
    const node = podmanOk(['run', '--rm', '--network=none', '--read-only', image, 'node', '--version']).trim()
    return { packages: debianPackages(root), node: node.replace(/^v/, '') }
  } finally {
    podman(['image', 'unmount', image])
  }
}

async function npmSbom(root: string): Promise<Sbom> {
  const args = ['sbom', '--sbom-format=cyclonedx', '--package-lock-only', '--omit=dev', '--omit=optional']
  const { stdout } = await promisify(execFile)('npm', args, { cwd: root, maxBuffer: 64 << 20 })
  return JSON.parse(stdout) as Sbom
}

/** As sha256sum writes them. */
export async function checksums(folder: string, files: readonly string[]): Promise<string> {
  let lines = ''
  for (const file of files.toSorted()) {
    const hash = createHash('sha256')
    await pipeline(createReadStream(join(folder, file)), hash)
    lines += `${hash.digest('hex')}  ${file}\n`
  }
  return lines
}
