// A network of good and bad cameras, each in a network namespace of its own: `npm run discover` lists them, and local mode plays what it writes.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import type { NetworkResult } from './fixtures/onvif-network.ts'

const PROGRAM = fileURLToPath(new URL('fixtures/onvif-network.ts', import.meta.url))
const READY_MS = 15_000

test('cameras of a network are listed with what is wrong with each, and the good ones play', async t => {
  t.timeout(240_000)
  // Without root the namespaces are those of a user namespace.
  const asRoot = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']
  const { stdout } = await promisify(execFile)('unshare', [...asRoot, '--net', process.execPath, PROGRAM], { timeout: 230_000 })
  const { unicast, again, multicast, sentTo, readyMs, logins } = JSON.parse(stdout) as NetworkResult
  t.log(readyMs)
  const of = (lines: string[], number: number) => lines.find(line => line.startsWith(`10.77.0.${number} `)) ?? ''

  t.regex(of(unicast, 9), /Acme & Co Eye 3 {2}H264 320x180 {2}onvif-0{8}-0000-4000-8000-0{10}09$/)
  t.regex(of(unicast, 10), /OnvifAuthFailed: /)
  t.regex(of(unicast, 11), /OnvifInvalidAnswer: /)
  t.regex(of(unicast, 12), /H265 320x180 {2}onvif-/)
  t.regex(of(unicast, 13), /H264 160x90, H264 320x180 {2}onvif-/, 'found by the package WSDiscovery')
  t.regex(of(unicast, 14), /PythonCam VirtualCam-1 {2}H264 640x360, H264 320x180 {2}onvif-/, 'ipycam')
  t.is(unicast.length, 6)

  const isInside = (address: string) => /^10\.77\.0\.(8|9|1[0-5])$/.test(address)
  t.deepEqual(
    sentTo.filter(([, address]) => !isInside(address)),
    [],
    'nothing is sent outside of the range',
  )
  t.true(sentTo.some(([kind, address]) => kind === 'ip' && address === '10.77.0.9'))

  for (const number of [9, 10, 12, 13, 14]) t.regex(of(again, number), /OnvifLoginWaits: /)
  t.deepEqual(logins, { 9: 1, 10: 1, 13: 1, 200: 0 }, 'one login for each')
  t.is(multicast.length, 7)
  t.regex(of(multicast, 200), /onvif-/)

  t.deepEqual(Object.keys(readyMs).toSorted(), ['09', '12', '13', '14'])
  for (const [name, ms] of Object.entries(readyMs)) t.true(ms <= READY_MS, `${name} runs after ${ms} ms`)
})
