// The list of sources that go with an image: of each part under GPL or LGPL the Debian source package that it was made from.
import { dscOf, type DebianPackage } from './debian.ts'
import { copyleftOfNpm, type Sbom } from './sbom.ts'

const HEAD = (image: string) => `Corresponding source of the parts under GPL or LGPL in ${image}.

Each line: the package, its version, the description of its source package at Debian, and the licences that its copyright file names.
On a Debian machine with deb-src entries for the release and its security updates: apt-get source SOURCE=VERSION
A version that Debian's mirrors no longer have is in Debian's archive of snapshots.
ffmpeg is compiled from Debian's source by deploy/image/Dockerfile, which has its configuration; of coreutils there is mkfifo alone.

`

export function sourceList(image: string, packages: readonly DebianPackage[], sbom: Sbom): string {
  const debian = packages
    .filter(({ copyleft }) => copyleft.length > 0)
    .map(found => [found.name, found.version, dscOf(found), found.copyleft.join(' ')])
  const npm = copyleftOfNpm(sbom).map(({ name, version, purl = '' }) => [name, version, purl, 'of npm'])
  return `${HEAD(image)}${columns([['package', 'version', 'source', 'licences'], ...debian, ...npm])}`
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = [0, 1, 2].map(column => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row => `${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`).join('')
}
