// Makes what the project's commands need, and says what it does; silent where nothing is to do. Plain JavaScript without
// packages: it runs on whichever Node a person has, before there is a better one.
import { fileURLToPath } from 'node:url'
import { prepareConfine } from './confine.mjs'
import { prepareImageTools, prepareNode } from './containers.mjs'
import { prepareFfmpeg, prepareFfprobe } from './ffmpeg.mjs'
import { prepareHelm } from './helm.mjs'
import { prepareKubernetes } from './kubernetes.mjs'
import { prepareNatsServer } from './nats-server.mjs'
import { preparePackages } from './packages.mjs'
import { say, SetupProblem } from './system.mjs'
import { prepareBrowser, prepareCamera, preparePython } from './test-tools.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const steps = [() => preparePackages(root), prepareFfmpeg, prepareConfine, prepareNatsServer]
/** @type {Record<string, (() => Promise<void>)[]>} */
const more = {
  '--test': [prepareFfprobe, prepareCamera, preparePython, prepareBrowser, prepareHelm, prepareKubernetes],
  '--image': [prepareImageTools],
  '--release': [prepareHelm, preparePython, prepareImageTools],
  '--e2e': [prepareCamera, prepareHelm, prepareImageTools, prepareNode],
}
for (const step of [...steps, ...process.argv.slice(2).flatMap(option => more[option] ?? [])]) {
  try {
    await step()
  } catch (error) {
    if (!(error instanceof SetupProblem)) throw error
    say(error.message)
    process.exitCode = 1
  }
}
