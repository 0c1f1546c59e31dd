// What it costs and how fast it is: real processes from an RTSP camera to Python clients, beside what the machine itself can do.
import { writeFile } from 'node:fs/promises'
import { messageOf } from '../common/errors.ts'
import { measureBuffered } from './buffered.ts'
import { PICTURES, videoOf } from './chain.ts'
import { measureFanOut } from './fan-out.ts'
import { measureFirstFrames } from './first-frame.ts'
import { measureLive } from './live.ts'
import { readMachine } from './machine.ts'
import { measureMaxFps } from './max-fps.ts'
import { measureMany } from './many.ts'
import { measureOpencv } from './opencv.ts'
import { readOptions, usage, type Options } from './options.ts'
import { report } from './report.ts'
import type { Scenario } from './scenario.ts'
import { measureSoak } from './soak.ts'
import { measureThinLink } from './thin-link.ts'
import { judge, type Results } from './targets.ts'

/** In this order. Each adds what it measured. */
const SCENARIOS: Record<string, (options: Options, results: Results) => Promise<void>> = {
  '720p30': async (options, results) => void results.live.push(await measureLive(PICTURES['720p30'], options)),
  '1080p15': async (options, results) => void results.live.push(await measureLive(PICTURES['1080p15'], options)),
  '1080p30': async (options, results) => void results.live.push(await measureLive(PICTURES['1080p30'], options)),
  'first-frame': async (options, results) => void (results.firstFrames = await measureFirstFrames(options)),
  buffered: async (options, results) => void (results.buffered = await measureBuffered(options)),
}

/** What takes longer, or matters to fewer people: only when it is named. */
const FURTHER: Record<string, Scenario> = {
  opencv: measureOpencv,
  many: measureMany,
  'fan-out': measureFanOut,
  'thin-link': measureThinLink,
  'max-fps': measureMaxFps,
}

async function bench(options: Options): Promise<void> {
  const results: Results = { live: [], firstFrames: undefined, buffered: undefined, soak: undefined, further: {} }
  for (const picture of Object.values(PICTURES)) {
    say(`the video of ${picture.name}`)
    await videoOf(picture) // made now if it has never been, which takes a minute of CPU
  }
  say('the machine')
  const machine = await readMachine()
  if (options.soakMinutes !== undefined) {
    say(`${options.soakMinutes} minutes of 1080p15`)
    results.soak = await measureSoak(options.soakMinutes, options)
  } else {
    for (const [name, measure] of Object.entries(SCENARIOS)) {
      if (options.scenarios.length > 0 && !options.scenarios.includes(name)) continue
      say(name)
      await measure(options, results)
    }
    for (const [name, measure] of Object.entries(FURTHER)) {
      if (!options.scenarios.includes(name)) continue
      say(name)
      results.further[name] = await measure(options)
    }
  }
  console.log(`\n${report(machine, results)}`)
  if (options.jsonFile !== undefined) {
    await writeFile(options.jsonFile, JSON.stringify({ at: new Date(), machine, ...results, targets: judge(results) }, null, 2))
  }
}

const say = (what: string) => console.error(`measuring: ${what}`)

function optionsOrExit(): Options {
  const [names, further] = [Object.keys(SCENARIOS), Object.keys(FURTHER)]
  try {
    const options = readOptions(process.argv.slice(2), [...names, ...further])
    if (options !== 'help') return options
    console.log(usage(names, further))
    process.exit(0)
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${usage(names, further)}`)
    process.exit(2)
  }
}

await bench(optionsOrExit())
