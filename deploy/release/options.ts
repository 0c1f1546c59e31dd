import { parseArgs } from 'node:util'

export const HELP = `usage: npm run release -- [options]

Makes a release in a folder: image, chart, manifests, SBOM, list of sources, checksums. Publishes nothing. See docs/releases.md.

      --out DIR         the folder (default: dist)
      --node-image REF  the base image, best by digest (NAME@sha256:…); without it a look-alike is made here
      --no-image        everything but the image
      --help            this text
`

export type Options = { out: string; nodeImage: string | undefined; withImage: boolean }

/** Throws a TypeError that says what is wrong with `args`; undefined where only help is asked for. */
export function parseOptions(args: string[]): Options | undefined {
  const { values } = parseArgs({
    args,
    options: {
      out: { type: 'string', default: 'dist' },
      'node-image': { type: 'string' },
      'no-image': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  return values.help ? undefined : { out: values.out, nodeImage: values['node-image'], withImage: !values['no-image'] }
}
