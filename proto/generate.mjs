// Writes the types of the protos, and the descriptors that the Python client makes its messages from; with --check it only says whether the written ones are up to date.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const generated = join(root, 'proto', 'generated')
const descriptors = join(root, 'clients', 'python', 'src', 'chrysalis_edge', 'services.binpb')
const options = ['--grpcLib=@grpc/grpc-js', '--longs=Number', '--enums=String', '--keepCase', '--defaults', '--oneofs']
const extensions = ['--targetFileExtension=.ts', '--importFileExtension=.ts']

/** @param {string} folder */
function generate(folder) {
  const program = join(root, 'node_modules', '.bin', 'proto-loader-gen-types')
  execFileSync(program, [...options, ...extensions, `--outDir=${folder}`, 'proto/video_streaming.proto', 'proto/frames.proto'], {
    cwd: root,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

/** @param {string} file */
function describe(file) {
  const program = join(root, 'node_modules', '.bin', 'buf')
  execFileSync(program, ['build', 'proto', '--exclude-source-info', '-o', file], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })
}

/** @param {string} folder */
function contents(folder) {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter(name => name.endsWith('.ts'))
  return JSON.stringify(names.toSorted().map(name => [name, readFileSync(join(folder, name), 'utf8')]))
}

if (process.argv.includes('--check')) {
  const folder = mkdtempSync(join(tmpdir(), 'chrysalis-proto-'))
  try {
    generate(folder)
    if (contents(folder) !== contents(generated)) complain('proto/generated')
    const file = join(folder, 'services.binpb')
    describe(file)
    if (!readFileSync(file).equals(readFileSync(descriptors))) complain('clients/python/src/chrysalis_edge/services.binpb')
  } finally {
    rmSync(folder, { recursive: true })
  }
} else {
  rmSync(generated, { recursive: true, force: true })
  generate(generated)
  describe(descriptors)
}

/** @param {string} what */
function complain(what) {
  console.error(`${what} is not what the protos say: npm run generate`)
  process.exitCode = 1
}
