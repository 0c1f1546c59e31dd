// The table of faults: each is survived within its time, alone or without harm to the other camera, and nothing acknowledged is lost.
import anyTest from 'ava'
import { FAULTS } from './faults/table.ts'

const test = anyTest.serial

for (const { title, limitMs, otherMs, missing, inject } of FAULTS.filter(({ elsewhere }) => elsewhere !== true)) {
  const run = missing !== undefined ? anyTest.skip : test
  run(`${title}: it is over within ${limitMs / 1000} s`, async t => {
    const result = await inject()
    t.true(result.recoveryMs <= limitMs, `${result.recoveryMs} ms`)
    if (otherMs !== undefined) t.true((result.otherMs ?? Infinity) <= otherMs, `the other camera paused for ${result.otherMs} ms`)
    if (result.lost !== undefined && !result.lost.includes('by the damage itself')) t.regex(result.lost, /^0 of /)
  })
}
