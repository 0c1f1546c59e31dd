// node .ci/tally.mjs COMMAND: runs the tests, shows what they say, and says last how many passed and failed, as ava counted them.
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { stripVTControlCharacters } from 'node:util'

const LIMIT_MINUTES = 60
const [command = '', ...args] = process.argv.slice(2)
const tests = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
const stop = () => {
  if (tests.pid) process.kill(-tests.pid, 'SIGKILL')
}
const limit = setTimeout(() => {
  console.log(`the tests did not end within ${LIMIT_MINUTES} minutes`)
  stop()
}, LIMIT_MINUTES * 60_000)
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => {
    stop()
    process.exit(1)
  })
}

const passing = /^\s*(\d+) tests? passed$/
const skipped = /^\s*(\d+) tests? (?:skipped|todo)$/
const failing =
  /^\s*(\d+) (?:tests? failed|hooks? failed|unhandled rejections?|uncaught exceptions?|tests? remained pending after a timeout)$/
// A test that can't be run here says why. Here everything can be had, so that is an error.
const unmet = /\(skipped: (.+)\)$/
const reasons = new Set()
// Where a test failed, the summary doesn't say how many passed.
const tick = /^\s*[✔√] /
const count = { passed: 0, failed: 0, skipped: 0 }
let ticks = 0
for await (const line of createInterface({ input: tests.stdout })) {
  console.log(line)
  const text = stripVTControlCharacters(line)
  // ava's own summary stands after its last rule; a line like it further up is some test's output.
  if (/^\s*─+$/.test(text)) count.passed = count.failed = count.skipped = 0
  if (tick.test(text)) ticks++
  const reason = unmet.exec(text)?.[1]
  if (reason) reasons.add(reason)
  count.passed += Number(passing.exec(text)?.[1] ?? 0)
  count.skipped += Number(skipped.exec(text)?.[1] ?? 0)
  count.failed += Number(failing.exec(text)?.[1] ?? 0)
}
const code = tests.exitCode ?? (await new Promise(resolve => tests.once('exit', resolve)))
clearTimeout(limit)
if (count.passed === 0) count.passed = ticks
if (code !== 0) console.log(`the tests ended with ${code ?? tests.signalCode}`)
if (code === 0 && count.passed === 0) console.log('no test was run')
// Whatever ended badly without a failed test (a crash, no test at all) counts as one.
if ((code !== 0 || count.passed === 0) && count.failed === 0) count.failed = 1
if (reasons.size > 0) {
  console.log(`tests were skipped that continuous integration has to run: ${[...reasons].join('; ')}`)
  count.failed = Math.max(count.failed, 1)
}
console.log(`${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped`)
process.exitCode = count.failed > 0 ? 1 : 0
