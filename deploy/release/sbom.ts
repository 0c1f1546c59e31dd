// The SBOM: what npm says of its packages, and beside them what else is in the image. CycloneDX 1.5.
import { purlOf, type DebianPackage } from './debian.ts'

export type Component = {
  'bom-ref': string
  type: string
  name: string
  version: string
  purl?: string
  licenses?: { license?: { id?: string; name?: string }; expression?: string }[]
}
export type Sbom = {
  bomFormat: string
  specVersion: string
  metadata: { component: Component; lifecycles?: object[] }
  components: Component[]
  dependencies: { ref: string; dependsOn?: string[] }[]
}

/** `npm`: the output of `npm sbom`. `node`: the version of Node in the image. */
export function mergedSbom(npm: Sbom, packages: readonly DebianPackage[], node: string | undefined): Sbom {
  const others: Component[] = packages.map(debian => ({
    ...{ 'bom-ref': purlOf(debian), type: 'library', name: debian.name, version: debian.version, purl: purlOf(debian) },
    ...(debian.copyleft.length > 0 ? { licenses: debian.copyleft.map(name => ({ license: { name } })) } : {}),
  }))
  if (node !== undefined) {
    const purl = `pkg:generic/node@${node}`
    others.push({ 'bom-ref': purl, type: 'application', name: 'node', version: node, purl, licenses: [{ license: { id: 'MIT' } }] })
  }
  const product = npm.metadata.component['bom-ref']
  return {
    ...npm,
    // npm names the product after the folder, and it is no library.
    metadata: { ...npm.metadata, component: { ...npm.metadata.component, type: 'application', name: 'chrysalis-edge' } },
    components: [...npm.components, ...others],
    dependencies: npm.dependencies.map(dependency =>
      dependency.ref === product
        ? { ...dependency, dependsOn: [...(dependency.dependsOn ?? []), ...others.map(other => other['bom-ref'])] }
        : dependency,
    ),
  }
}

/** Of npm's packages those under GPL or LGPL, which would have to be offered as source too. */
export const copyleftOfNpm = ({ components }: Sbom): Component[] =>
  components.filter(({ purl, licenses }) => purl?.startsWith('pkg:npm/') === true && /GPL/.test(JSON.stringify(licenses ?? [])))
