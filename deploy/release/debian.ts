// Debian's packages in a root filesystem: what they are, whose source they come from, and which have copyleft licences.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export type DebianPackage = {
  name: string
  version: string
  architecture: string
  source: { name: string; version: string }
  /** GPL and LGPL, as the package's copyright file names them, sorted. */
  copyleft: string[]
}

/** From `var/lib/dpkg/status.d`, one file a package. */
export function debianPackages(root: string): DebianPackage[] {
  const folder = join(root, 'var/lib/dpkg/status.d')
  return readdirSync(folder)
    .toSorted()
    .map(file => parse(readFileSync(join(folder, file), 'utf8'), root))
}

function parse(paragraph: string, root: string): DebianPackage {
  const field = (name: string) => new RegExp(`^${name}: *(.*)$`, 'm').exec(paragraph)?.[1]
  const [name, version] = [field('Package'), field('Version')]
  if (name === undefined || version === undefined) throw new Error(`a package without name or version: ${paragraph.slice(0, 200)}`)
  // `Source: gcc-12 (12.2.0-14)`; no version where it is the package's own, no field where the name is too.
  const [, source = name, sourceVersion = version] = /^(\S+)(?: \((\S+)\))?/.exec(field('Source') ?? name) ?? []
  return {
    ...{ name, version, architecture: field('Architecture') ?? 'all' },
    source: { name: source, version: sourceVersion },
    copyleft: copyleftOf(root, name),
  }
}

/** The file's name has no epoch. */
export const dscOf = ({ source }: DebianPackage): string => `${source.name}_${source.version.replace(/^\d+:/, '')}.dsc`

/** All that the licence files mention: rather one too many than one too few. */
function copyleftOf(root: string, name: string): string[] {
  const text = licenceFiles(join(root, 'usr/share/doc', name))
    .map(file => readFileSync(file, 'utf8'))
    .join('\n')
  const short = text.matchAll(/\b(?:L|A)?GPL(?:-?v?\d+(?:\.\d+)?)?(?:\+|-or-later)?/g)
  const long = text.matchAll(/GNU (Lesser |Library |Affero )?General Public License/gi)
  const names = [...short].map(([found]) => found).concat([...long].map(([, kind]) => LONG[kind?.trim().toLowerCase() ?? ''] ?? 'GPL'))
  return [...new Set(names)].toSorted()
}

function licenceFiles(folder: string): string[] {
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
}

const LONG: Readonly<Record<string, string>> = { lesser: 'LGPL', library: 'LGPL', affero: 'AGPL' }

export const purlOf = ({ name, version, architecture, source }: DebianPackage): string => {
  const upstream = source.name === name && source.version === version ? '' : `&upstream=${encodeURIComponent(source.name)}`
  return `pkg:deb/debian/${encodeURIComponent(name)}@${encodeURIComponent(version)}?arch=${architecture}&distro=debian-12${upstream}`
}
