// `npm run test:faults`: injects each fault of the table, or those with these words in their titles, and prints what docs/reliability.md keeps.
import { FAULTS } from './table.ts'

const words = process.argv.slice(2).join(' ')
const seconds = (ms: number | undefined) => (ms === undefined ? '–' : `${(ms / 1000).toFixed(1)} s`)
const say = (line: string) => void process.stdout.write(`${line}\n`)

say('| fault | what a user sees | frames are back | the other camera’s longest pause | lost of what was acknowledged |')
say('| --- | --- | --- | --- | --- |')
for (const { title, user, limitMs, otherMs = Infinity, missing, inject } of FAULTS.filter(({ title }) => title.includes(words))) {
  if (missing !== undefined) {
    say(`| ${title} | ${user} | not run: ${missing} | – | – |`)
    continue
  }
  const { recoveryMs, otherMs: other, lost = '–' } = await inject()
  const isLate = recoveryMs > limitMs || (other ?? 0) > otherMs
  if (isLate) process.exitCode = 1
  say(`| ${title} | ${user} | ${seconds(recoveryMs)}${isLate ? ' **too late**' : ''} | ${seconds(other)} | ${lost} |`)
}
