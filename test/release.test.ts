// The parts of a release that need no image. The image, its packages and its archive: test/image/.
import { execFile } from 'node:child_process'
import { mkdir, readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import { debianPackages, dscOf, purlOf } from '../deploy/release/debian.ts'
import { parseOptions } from '../deploy/release/options.ts'
import { checksums, makeRelease } from '../deploy/release/release.ts'
import { mergedSbom, type Sbom } from '../deploy/release/sbom.ts'
import { outcomeOfNpm, outdated } from '../deploy/release/scan.ts'
import { sourceList } from '../deploy/release/sources.ts'
import { readVersion } from '../deploy/release/versions.ts'
import { missingHelm } from './fixtures/helm.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const withHelm = missingHelm() === undefined ? test : test.skip

/** A root filesystem with three packages, as the image has them. */
async function rootWithPackages(folder: TemporaryFolder): Promise<string> {
  const root = folder.file('root')
  const put = async (file: string, text: string) => {
    await mkdir(join(root, file, '..'), { recursive: true })
    await writeFile(join(root, file), text)
  }
  await put(
    'var/lib/dpkg/status.d/libstdc++6',
    'Package: libstdc++6\nSource: gcc-12 (12.2.0-14)\nVersion: 12.2.0-14+b1\nArchitecture: amd64\n',
  )
  await put('var/lib/dpkg/status.d/ffmpeg', 'Package: ffmpeg\nVersion: 7:5.1.9-0+deb12u1\nArchitecture: amd64\n')
  await put('var/lib/dpkg/status.d/zlib1g', 'Package: zlib1g\nSource: zlib\nVersion: 1:1.2.13\nArchitecture: amd64\n')
  await put('usr/share/doc/libstdc++6/copyright', 'under the GNU General Public License, and License: GPL-3+')
  await put('usr/share/doc/ffmpeg/LICENSE.md', 'LGPL version 2.1: GNU Lesser General Public License')
  await put('usr/share/doc/zlib1g/copyright', 'License: Zlib')
  return root
}

const npmSbom = (licence: string): Sbom => ({
  ...{ bomFormat: 'CycloneDX', specVersion: '1.5' },
  metadata: { component: { 'bom-ref': 'chrysalis-edge@1.0.0', type: 'library', name: 'folder', version: '1.0.0' } },
  components: [
    { 'bom-ref': 'a@1', type: 'library', name: 'a', version: '1', purl: 'pkg:npm/a@1', licenses: [{ license: { id: licence } }] },
  ],
  dependencies: [{ ref: 'chrysalis-edge@1.0.0', dependsOn: ['a@1'] }],
})

test('all places say the same version', t => {
  t.deepEqual(readVersion(ROOT).problems, [])
})

test('a package is known by its name, version, source and licences', async t => {
  await using folder = await temporaryFolder()
  const packages = debianPackages(await rootWithPackages(folder))
  t.deepEqual(
    packages.map(({ name, copyleft }) => [name, ...copyleft]),
    [['ffmpeg', 'LGPL'], ['libstdc++6', 'GPL', 'GPL-3+'], ['zlib1g']],
  )
  t.deepEqual(packages.map(dscOf), ['ffmpeg_5.1.9-0+deb12u1.dsc', 'gcc-12_12.2.0-14.dsc', 'zlib_1.2.13.dsc'])
  t.is(packages.map(purlOf)[1], 'pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bb1?arch=amd64&distro=debian-12&upstream=gcc-12')
})

test('the list of sources has the parts under GPL and LGPL, of Debian and of npm, and no others', async t => {
  await using folder = await temporaryFolder()
  const packages = debianPackages(await rootWithPackages(folder))
  const list = sourceList('image:1', packages, npmSbom('LGPL-3.0-only'))
  t.regex(list, /^ffmpeg +7:5\.1\.9-0\+deb12u1 +ffmpeg_5\.1\.9-0\+deb12u1\.dsc +LGPL$/m)
  t.regex(list, /^libstdc\+\+6 +12\.2\.0-14\+b1 +gcc-12_12\.2\.0-14\.dsc +GPL GPL-3\+$/m)
  t.regex(list, /^a +1 +pkg:npm\/a@1/m)
  t.notRegex(list, /zlib/)
  t.notRegex(sourceList('image:1', packages, npmSbom('MIT')), /pkg:npm/)
})

test('the SBOM names the product, npm’s packages, Debian’s and Node, each once', async t => {
  await using folder = await temporaryFolder()
  const sbom = mergedSbom(npmSbom('MIT'), debianPackages(await rootWithPackages(folder)), '24.1.0')
  t.like(sbom.metadata.component, { name: 'chrysalis-edge', type: 'application' })
  t.deepEqual(
    sbom.components.map(({ name }) => name),
    ['a', 'ffmpeg', 'libstdc++6', 'zlib1g', 'node'],
  )
  const refs = sbom.components.map(component => component['bom-ref'])
  t.is(new Set(refs).size, refs.length)
  t.deepEqual(sbom.dependencies[0]?.dependsOn, refs)
})

withHelm('a release without an image has the rest, and says what is missing', async t => {
  await using folder = await temporaryFolder()
  const out = folder.file('dist')
  const steps: string[] = []
  const { files, missing } = await makeRelease(ROOT, { out, nodeImage: undefined, withImage: false }, step => steps.push(step))
  const { version } = readVersion(ROOT)
  const base = `chrysalis-edge-${version}`
  const wheel = `chrysalis_edge-${version}-py3-none-any.whl`
  t.deepEqual(files.toSorted(), ['SHA256SUMS', `${base}.cdx.json`, `${base}.tgz`, `${base}.yaml`, wheel])
  t.deepEqual((await readdir(out)).toSorted(), files.toSorted())
  t.true(missing.some(line => line.startsWith('image')))
  t.true((await stat(join(out, wheel))).size <= 200_000)
  t.is(steps.length, files.length)
  await promisify(execFile)('sha256sum', ['--check', '--strict', 'SHA256SUMS'], { cwd: out })
  const sbom = JSON.parse(await readFile(join(out, `${base}.cdx.json`), 'utf8')) as Sbom
  const names = sbom.components.map(({ name }) => name)
  t.true(names.includes('nats'))
  for (const name of ['typescript', 'ava', 'ffmpeg-static']) t.false(names.includes(name), name)
  const chart = await promisify(execFile)('tar', ['-xzOf', join(out, `${base}.tgz`), 'chrysalis-edge/Chart.yaml'])
  t.regex(chart.stdout, new RegExp(`^version: ${version}$`, 'm'))
  t.is(await readFile(join(out, `${base}.yaml`), 'utf8'), await readFile(join(ROOT, 'deploy/manifests/chrysalis-edge.yaml'), 'utf8'))
})

test('checksums are those that sha256sum writes', async t => {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('b'), 'two')
  await writeFile(folder.file('a'), 'one')
  const { stdout } = await promisify(execFile)('sha256sum', ['a', 'b'], { cwd: folder.file('.') })
  t.is(await checksums(folder.file('.'), ['b', 'a']), stdout)
})

test('unknown options of a release are refused', t => {
  t.throws(() => parseOptions(['--publish']), { instanceOf: TypeError })
  t.is(parseOptions(['--help']), undefined)
  t.like(parseOptions(['--node-image', 'node@sha256:0', '--no-image']), { out: 'dist', nodeImage: 'node@sha256:0', withImage: false })
})

test('a scan tells what it found from what it could not look at', t => {
  t.is(outcomeOfNpm({ code: 0, output: 'found 0 vulnerabilities' }).verdict, 'clean')
  t.is(outcomeOfNpm({ code: 1, output: 'semver  <7.5.2\nSeverity: high\n1 high severity vulnerability' }).verdict, 'found')
  t.is(
    outcomeOfNpm({ code: 1, output: 'npm warn audit 405 Method Not Allowed - POST\nnpm error audit endpoint returned an error' }).verdict,
    'undone',
  )
  t.is(outcomeOfNpm({ code: 1, output: '2 packages have invalid registry signatures' }).verdict, 'found')
  t.is(outcomeOfNpm({ code: -1, output: '' }).verdict, 'undone')
  t.is(outcomeOfNpm({ code: 1, output: 'npm error code ENOTFOUND\nnpm error network request failed' }).verdict, 'undone')
})

test('a package of which Debian has a newer version is found', async t => {
  await using folder = await temporaryFolder()
  const packages = debianPackages(await rootWithPackages(folder))
  const policy = ['ffmpeg', '7:5.1.9-0+deb12u2', 'zlib1g', '1:1.2.13'] as const
  const text = [0, 2].map(at => `${policy[at]}:\n  Installed: (none)\n  Candidate: ${policy[at + 1]}\n  Version table:\n`).join('')
  t.deepEqual(outdated(packages, text), ['ffmpeg: the image has 7:5.1.9-0+deb12u1, Debian has 7:5.1.9-0+deb12u2'])
})
