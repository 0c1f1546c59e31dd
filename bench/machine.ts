// On what it was measured.
import { execFile } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'
import { promisify } from 'node:util'
import { ffmpegPath } from '../common/media/ffmpeg-path.ts'
import { natsServerPath } from '../deploy/local/locate-nats.ts'
import { PICTURES } from './chain.ts'
import { loopback, memcpy } from './limits.ts'

const run = promisify(execFile)
const MEASURE_MS = 2_000

export type Machine = {
  cpu: string
  cores: number
  memoryGiB: number
  kernel: string
  node: string
  ffmpeg: string
  natsServer: string
  /** Processes that ran or waited for a core, over the minute before. */
  loadBefore: number
  /** GB/s, of 1080p frames into memory in use and into new memory. */
  memcpy: { hot: number; fresh: number }
  /** 1080p frames a second from one Node process to another over TCP. */
  loopback: number
}

export async function readMachine(): Promise<Machine> {
  const [loadBefore = NaN] = loadavg()
  const version = async (command: string, args: string[]) => (await run(command, args)).stdout.split('\n')[0] ?? ''
  const picture = PICTURES['1080p30']
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: cpus().length,
    memoryGiB: totalmem() / 2 ** 30,
    kernel: release(),
    node: process.version,
    ffmpeg: (await version(ffmpegPath(process.env), ['-version'])).replace(/^ffmpeg version (\S+).*/, '$1'),
    natsServer: (await version(natsServerPath(process.env), ['--version'])).replace(/^nats-server: v/, ''),
    loadBefore,
    memcpy: memcpy(picture, MEASURE_MS / 2),
    loopback: await loopback(picture, MEASURE_MS),
  }
}
