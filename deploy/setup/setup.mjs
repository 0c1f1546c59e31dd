// Makes what the project's commands need, and says what it does; silent where nothing is to do. Plain JavaScript without
// packages: it runs on whichever Node a person has, before there is a better one.
import { fileURLToPath } from 'node:url'
import { prepareFfmpeg, prepareFfprobe } from './ffmpeg.mjs'
import { prepareHelm } from './helm.mjs'
import { prepareKubernetes } from './kubernetes.mjs'
import { prepareNatsServer } from './nats-server.mjs'
import { preparePackages } from './packages.mjs'
import { say, SetupProblem } from './system.mjs'
import { prepareCamera, preparePython } from './test-tools.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const steps = [() => preparePackages(root), prepareFfmpeg, prepareNatsServer]
const forTests = [prepareFfprobe, prepareCamera, preparePython, prepareHelm, prepareKubernetes]
for (const step of process.argv.includes('--test') ? [...steps, ...forTests] : steps) {
  try {
    await step()
  } catch (error) {
    if (!(error instanceof SetupProblem)) throw error
    say(error.message)
    process.exitCode = 1
  }
}
