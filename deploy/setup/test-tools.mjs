// What only tests need: GStreamer's RTSP server (the camera) and Python with gRPC (a client as users write it).
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { rename } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder } from '../../common/cache.mjs'
import { isProgram } from '../../common/which.mjs'
import { aptCommand, aptInstall, canInstall, inScratch, pythons, run, say, tail } from './system.mjs'

const CAMERA_PACKAGES = [
  'python3-gi',
  'gir1.2-gst-rtsp-server-1.0',
  'gstreamer1.0-plugins-base',
  'gstreamer1.0-plugins-good',
  'gstreamer1.0-plugins-bad',
  'gstreamer1.0-plugins-ugly',
]
export const CAMERA_MISSING = `GStreamer's RTSP server for Debian's Python is missing: install it (as root: ${aptCommand(CAMERA_PACKAGES)})`

const CAMERA_PROBE = `
import gi
gi.require_version('GstRtspServer', '1.0')
from gi.repository import Gst, GstRtspServer
Gst.init(None)
for name in 'x264enc x265enc jpegenc rtph264pay h265parse qtdemux alawenc appsrc videotestsrc'.split():
    assert Gst.ElementFactory.find(name), name
`

export async function prepareCamera() {
  const works = async () => (await run('/usr/bin/python3', ['-c', CAMERA_PROBE])).ok
  if (await works()) return
  if (canInstall()) await aptInstall(CAMERA_PACKAGES, "GStreamer's RTSP server, the camera of tests")
  if (!(await works())) say(`tests with a camera will fail: ${CAMERA_MISSING}`)
}

const BROWSER_PACKAGES = ['chromium']
export const BROWSER_MISSING = `Chromium, for tests of the page, is missing: install it (as root: ${aptCommand(BROWSER_PACKAGES)})`

/** The browser of the tests; undefined where there is none. */
export const browserPath = () => ['/usr/bin/chromium', '/usr/bin/chromium-browser'].find(isProgram)

export async function prepareBrowser() {
  if (browserPath() !== undefined) return
  if (canInstall()) await aptInstall(BROWSER_PACKAGES, 'Chromium, the browser of tests')
  if (browserPath() === undefined) say(`tests of the page will fail: ${BROWSER_MISSING}`)
}

const requirements = fileURLToPath(new URL('../../test/requirements.txt', import.meta.url))
const CLIENT_TOOLS = ['python3-venv']
export const PYTHON_MISSING = `Python with gRPC, for tests, is missing: see what \`node deploy/setup/setup.mjs --test\` says`

/**
 * The Python of the tests: a virtual environment in the cache with exactly the packages of test/requirements.txt.
 * @param {NodeJS.ProcessEnv} env
 * @returns {string}
 */
export const testPython = env => join(pythonFolder(env), 'bin', 'python')

/** @param {NodeJS.ProcessEnv} env */
function pythonFolder(env) {
  const pins = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12)
  return join(cacheFolder(env), `python-${pins}`)
}

export async function preparePython() {
  if (isProgram(testPython(process.env))) return
  say('making a Python environment with gRPC, for tests')
  let reasons = await makeEnvironment()
  if (reasons === undefined) return
  if (canInstall() && (await aptInstall(CLIENT_TOOLS, "Python's venv, for tests"))) reasons = await makeEnvironment()
  if (reasons === undefined) return
  say(
    `tests with a Python client will fail: install Python's venv (as root: ${aptCommand(CLIENT_TOOLS)}), and see that pip reaches its packages:\n  ${reasons}`,
  )
}

/** @returns {Promise<string | undefined>} why it could not be made; undefined where it was */
async function makeEnvironment() {
  let reasons = 'there is no Python 3'
  for (const python of pythons()) {
    const failed = await inScratch(async folder => {
      const environment = join(folder, 'python')
      const created = await run(python, ['-m', 'venv', environment])
      const filled = created.ok
        ? await run(join(environment, 'bin', 'python'), [
            '-m',
            'pip',
            'install',
            '-q',
            '--no-deps',
            '--only-binary=:all:',
            '--require-hashes',
            '-r',
            requirements,
          ])
        : created
      if (!filled.ok) return `${python}: ${tail(filled.output)}`
      // Its Python runs from any place (only scripts like bin/pip hold their path). Where the folder exists, somebody else was faster.
      await rename(environment, pythonFolder(process.env)).catch(() => undefined)
      return isProgram(testPython(process.env)) ? undefined : `${pythonFolder(process.env)} could not be made`
    })
    if (failed === undefined) return undefined
    reasons = failed
  }
  return reasons
}
