// The pod of a CameraDiscovery: it searches again and again, and tells the operator what it found. It has no rights in Kubernetes.
import { createHash } from 'node:crypto'
import * as v from 'valibot'
import { runProcess, sleep } from '../../common/abort.ts'
import { readSettings, serviceConfig, type Env } from '../../common/env.ts'
import { Failure, messageOf } from '../../common/errors.ts'
import { createLog } from '../../common/log.ts'
import { createRegistry } from '../../common/metrics.ts'
import { connectNats } from '../../common/nats/connect.ts'
import { denied } from '../../common/net/address.ts'
import { readCredentials } from '../../common/net/credentials.ts'
import { Discovery } from '../../common/onvif/discover.ts'
import { networksOf } from '../../common/onvif/search.ts'
import { serveProbes } from '../../common/probes.ts'
import { parseDuration } from '../../proto/camera.ts'
import { SearchSpec, type DiscoveryReport } from '../../proto/discovery.ts'
import { encodeState } from '../../proto/state.ts'
import { SEARCH } from '../../proto/settings.ts'
import { BUCKET, bucketSubject, discoverySubject, loginKey } from '../../proto/subjects.ts'

const INTERVAL_MIN_MS = 10_000
const LOGIN_CALL_MS = 5_000

await runProcess(process.env, async signal => {
  const { spec, ref, uid, credentialsDir, secret, denyCidrs, ...config } = readConfig(process.env)
  const log = (await createLog('discovery', config.log)).child({ discovery: `${ref.namespace}/${ref.name}` })
  let connected = () => false
  await using probes = await serveProbes(config.probes, createRegistry(), () => (connected() ? [] : ['NATS is unreachable']))
  log.info({ probePort: probes.port }, 'discovery starts')
  await using nats = await connectNats(`discovery ${ref.namespace}/${ref.name}`, config.nats, log, signal)
  connected = nats.connected

  /** The first to store the key has the turn. NATS forgets it after ten minutes. */
  const mayLogIn = async (device: string): Promise<boolean> => {
    const key = loginKey(ref, createHash('sha256').update(`${secret} ${device}`).digest('hex').slice(0, 32))
    const options = { expect: { lastSubjectSequence: 0 }, timeout: LOGIN_CALL_MS }
    return nats.nc
      .jetstream()
      .publish(bucketSubject(BUCKET.logins, key), new Uint8Array(), options)
      .then(
        () => true,
        () => false,
      )
  }
  let problem: string | undefined
  const credentials = async () => {
    if (credentialsDir === undefined) return undefined
    return readCredentials(credentialsDir).catch((error: unknown) => {
      problem = error instanceof Failure && error.reason === 'SecretNotFound' ? `there is no Secret ${secret}` : messageOf(error)
      return undefined
    })
  }
  const discovery = new Discovery({ ...spec, deny: denied(denyCidrs) }, { credentials, profile: spec.profile, mayLogIn })
  const search = async (): Promise<DiscoveryReport> => {
    problem = undefined
    try {
      const devices = await discovery.search(signal)
      const cidrs = [...new Set([...spec.cidrs, ...networksOf(spec.interfaces)])].slice(0, 16)
      return { v: 1, uid, cidrs, devices, ...(problem === undefined ? {} : { problem }) }
    } catch (error) {
      return { v: 1, uid, cidrs: [], devices: [], problem: messageOf(error).slice(0, 512) }
    }
  }
  while (!signal.aborted) {
    const report = await search()
    if (signal.aborted) return
    log.info({ found: report.devices.length, problem: report.problem }, 'searched')
    if (nats.connected()) nats.nc.publish(discoverySubject(ref), encodeState(report))
    await sleep(Math.max(INTERVAL_MIN_MS, parseDuration(spec.interval)), signal)
  }
})

function readConfig(env: Env) {
  const { values, problem, done } = readSettings(env, SEARCH)
  const spec = v.safeParse(SearchSpec, values.CHRYS_DISCOVERY_SPEC)
  for (const issue of spec.issues ?? []) problem('CHRYS_DISCOVERY_SPEC', `${v.getDotPath(issue) ?? ''}: ${issue.message}`)
  done()
  return {
    ...serviceConfig(values),
    ref: { namespace: values.CHRYS_DISCOVERY_NAMESPACE, name: values.CHRYS_DISCOVERY_NAME },
    uid: values.CHRYS_DISCOVERY_UID,
    spec: spec.output as v.InferOutput<typeof SearchSpec>,
    credentialsDir: values.CHRYS_CREDENTIALS_DIR,
    secret: values.CHRYS_CREDENTIALS_SECRET ?? '',
    denyCidrs: values.CHRYS_DENY_CIDRS,
  }
}
