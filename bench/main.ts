// What it costs and how fast it is: real processes from an RTSP camera to Python clients, beside what the machine itself can do.
import { writeFile } from 'node:fs/promises'
import { messageOf } from '../common/errors.ts'
import { measureBuffered } from './buffered.ts'
import { PICTURES, videoOf, type Picture } from './chain.ts'
import { measureFanOut } from './fan-out.ts'
import { measureFirstFrames } from './first-frame.ts'
import { measureKeyframes } from './keyframes.ts'
import { measureLive } from './live.ts'
import { readMachine } from './machine.ts'
import { measureMaxFps } from './max-fps.ts'
import { measureMany } from './many.ts'
import { measureOpencv, measureSmall } from './opencv.ts'
import { measureOverload } from './overload.ts'
import { readOptions, usage, type Options } from './options.ts'
import { measurePackets } from './packets.ts'
import { measureRenditions } from './renditions.ts'
import { measureDay } from './page-day.ts'
import { measurePage } from './page.ts'
import { report } from './report.ts'
import type { Scenario } from './scenario.ts'
import { measurePythonClient } from './python-client.ts'
import { measureSite } from './site.ts'
import { measureSoak } from './soak.ts'
import { measureThinLink } from './thin-link.ts'
import { judge, type Results } from './targets.ts'
import { measureViewers } from './viewers.ts'

const live = (picture: Picture) => async (options: Options, results: Results) => void results.live.push(await measureLive(picture, options))

/** In this order. Each adds what it measured. */
const SCENARIOS: Record<string, (options: Options, results: Results) => Promise<void>> = {
  '720p15': live(PICTURES['720p15']),
  '720p30': live(PICTURES['720p30']),
  '1080p15': live(PICTURES['1080p15']),
  '1080p30': live(PICTURES['1080p30']),
  'first-frame': async (options, results) => void (results.firstFrames = await measureFirstFrames(options)),
  buffered: async (options, results) => void (results.buffered = await measureBuffered(options)),
}

/** What runs where none is named: few enough that people run them. */
const USUAL = ['720p15', '1080p30', 'first-frame', 'buffered']

/** Each with tables of its own, and only when it is named. */
const FURTHER: Record<string, Scenario> = {
  opencv: measureOpencv,
  small: measureSmall,
  renditions: measureRenditions,
  packets: measurePackets,
  keyframes: measureKeyframes,
  'python-client': measurePythonClient,
  many: measureMany,
  'fan-out': measureFanOut,
  'thin-link': measureThinLink,
  'max-fps': measureMaxFps,
  overload: measureOverload,
  viewers: measureViewers,
  page: measurePage,
  'page-day': measureDay,
  site: measureSite,
}

async function bench(options: Options): Promise<void> {
  const results: Results = { live: [], firstFrames: undefined, buffered: undefined, soak: undefined, further: {} }
  say('the videos')
  for (const picture of Object.values(PICTURES)) await videoOf(picture) // made now if they have never been, which takes minutes
  say('the machine')
  const machine = await readMachine()
  if (options.soakMinutes !== undefined) {
    say(`${options.soakMinutes} minutes of 1080p15`)
    results.soak = await measureSoak(options.soakMinutes, options)
  } else {
    const named = options.scenarios.length > 0 ? options.scenarios : USUAL
    for (const [name, measure] of Object.entries(SCENARIOS)) {
      if (!named.includes(name)) continue
      say(name)
      await measure(options, results)
    }
    for (const [name, measure] of Object.entries(FURTHER)) {
      if (!named.includes(name)) continue
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
  const names = [...Object.keys(SCENARIOS), ...Object.keys(FURTHER)]
  try {
    const options = readOptions(process.argv.slice(2), names)
    if (options !== 'help') return options
    console.log(usage(names, USUAL))
    process.exit(0)
  } catch (error) {
    console.error(`${messageOf(error)}\n\n${usage(names, USUAL)}`)
    process.exit(2)
  }
}

await bench(optionsOrExit())
