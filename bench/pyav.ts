// PyAV, which decodes in a client's own process: installed into the cache when it is first needed.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../common/cache.mjs'
import { inScratch, run } from '../deploy/setup/system.mjs'
import { testPython } from '../deploy/setup/test-tools.mjs'

const REQUIREMENTS = fileURLToPath(new URL('requirements.txt', import.meta.url))

/** The folder that Python finds it in. */
export async function pyAv(): Promise<string> {
  const python = testPython(process.env)
  const pins = createHash('sha256').update(python).update(readFileSync(REQUIREMENTS)).digest('hex').slice(0, 12)
  const folder = join(cacheFolder(process.env), `pyav-${pins}`)
  if (existsSync(folder)) return folder
  await inScratch(async scratch => {
    const made = join(scratch, 'pyav')
    const { ok, output } = await run(python, ['-m', 'pip', 'install', '--quiet', '--require-hashes', '--target', made, '-r', REQUIREMENTS])
    if (!ok) throw new Error(`PyAV could not be installed: ${output}`)
    await rename(made, folder)
  })
  return folder
}
