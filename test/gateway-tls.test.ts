// gRPC with TLS: certificates made by openssl, as a mounted Secret would bring them.
import ava from 'ava'
import { credentials, type ChannelCredentials } from '@grpc/grpc-js'
import { execFile } from 'node:child_process'
import { copyFile, readFile, writeFile } from 'node:fs/promises'
import { connect, type PeerCertificate } from 'node:tls'
import { promisify } from 'node:util'
import { failure, grpcClient, startGateway } from './fixtures/gateway.ts'
import { startNats } from './fixtures/nats.ts'
import { temporaryFolder, type TemporaryFolder } from './fixtures/tmp.ts'
import { until } from './fixtures/wait.ts'

const run = promisify(execFile)
const EC = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes']

/** An authority of its own: `NAME.crt` and `NAME.key`. */
const authority = (folder: TemporaryFolder, name: string) =>
  run('openssl', [
    'req',
    '-x509',
    ...EC,
    '-days',
    '2',
    '-subj',
    `/CN=${name}`,
    '-keyout',
    folder.file(`${name}.key`),
    '-out',
    folder.file(`${name}.crt`),
  ])

/** A certificate for localhost that the authority signed; `ends` as openssl knows times. */
async function issue(folder: TemporaryFolder, name: string, by: string, begins = '20200101000000Z', ends = '20990101000000Z') {
  const file = (each: string) => folder.file(each)
  await run('openssl', ['req', ...EC, '-subj', `/CN=${name}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`)])
  await writeFile(file('ca.cnf'), CA_CONFIG(file('')))
  await writeFile(file('index.txt'), '')
  const signer = ['-cert', file(`${by}.crt`), '-keyfile', file(`${by}.key`)]
  const files = ['-in', file(`${name}.csr`), '-out', file(`${name}.crt`)]
  await run('openssl', [
    'ca',
    '-batch',
    '-rand_serial',
    '-config',
    file('ca.cnf'),
    ...signer,
    ...files,
    '-startdate',
    begins,
    '-enddate',
    ends,
  ])
}

const CA_CONFIG = (folder: string) => `[ca]
default_ca = own
[own]
dir = ${folder}
rand_serial = yes
database = ${folder}/index.txt
new_certs_dir = ${folder}
default_md = sha256
policy = any
x509_extensions = names
unique_subject = no
[any]
commonName = supplied
[names]
subjectAltName = DNS:localhost,IP:127.0.0.1
`

/** The files that the gateway is told of hold this pair from now on. */
async function put(folder: TemporaryFolder, name: string, key = name): Promise<void> {
  await copyFile(folder.file(`${name}.crt`), folder.file('tls.crt'))
  await copyFile(folder.file(`${key}.key`), folder.file('tls.key'))
}

const env = (folder: TemporaryFolder, more: Record<string, string> = {}) => ({
  CHRYS_TLS_CERT_FILE: folder.file('tls.crt'),
  CHRYS_TLS_KEY_FILE: folder.file('tls.key'),
  ...more,
})

async function served(port: number, ca: Buffer): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<PeerCertificate>()
  const socket = connect({ host: '127.0.0.1', port, ca, servername: 'localhost', ALPNProtocols: ['h2'] }, () =>
    resolve(socket.getPeerCertificate()),
  )
  socket.once('error', reject)
  try {
    return String((await promise).subject.CN)
  } finally {
    socket.destroy()
  }
}

const list = async (port: number, secure: ChannelCredentials) => {
  await using client = grpcClient(port, secure)
  return await client.list()
}

ava('clients that trust the certificate are served, and those without TLS or trust are not', async t => {
  await using folder = await temporaryFolder()
  await using nats = await startNats()
  await authority(folder, 'ours')
  await authority(folder, 'other')
  await issue(folder, 'first', 'ours')
  await put(folder, 'first')
  await using gateway = await startGateway(nats.url, env(folder))
  const trusting = credentials.createSsl(await readFile(folder.file('ours.crt')))
  t.regex((await failure(list(gateway.port, trusting))).details, /list of cameras/) // it was asked, and has none yet
  const stranger = credentials.createSsl(await readFile(folder.file('other.crt')))
  t.regex((await failure(list(gateway.port, stranger))).details, /unable to verify|self-signed|certificate/i)
  t.notRegex((await failure(list(gateway.port, credentials.createInsecure()))).details, /list of cameras/)
})

ava('a renewed certificate is taken up without a restart, and one that can’t be used is not', async t => {
  await using folder = await temporaryFolder()
  await using nats = await startNats()
  await authority(folder, 'ours')
  for (const name of ['first', 'second', 'stray']) await issue(folder, name, 'ours')
  await issue(folder, 'stale', 'ours', '20200101000000Z', '20210101000000Z')
  await put(folder, 'first')
  await using gateway = await startGateway(nats.url, env(folder))
  const ca = await readFile(folder.file('ours.crt'))
  t.is(await served(gateway.port, ca), 'first')
  t.is(await gateway.metric('chrysalis_tls_expires_timestamp_seconds'), Date.UTC(2099, 0, 1) / 1_000)

  for (const [name, key, reason] of [
    ['second', 'stray', 'is not the key of the certificate'],
    ['stale', 'stale', 'has expired on 2021-01-01'],
  ] as const) {
    await put(folder, name, key)
    await until(() => gateway.log().includes(reason), { what: reason })
    t.regex(gateway.log(), /TlsReloadFailed/)
    t.is(await gateway.metric('chrysalis_tls_reload_failed'), 1)
    t.is(await served(gateway.port, ca), 'first')
  }
  await put(folder, 'second')
  await until(async () => (await served(gateway.port, ca)) === 'second', { what: 'the new certificate' })
  t.is(await gateway.metric('chrysalis_tls_reload_failed'), 0)
})

ava('where clients need a certificate, only those that the authority signed are served', async t => {
  await using folder = await temporaryFolder()
  await using nats = await startNats()
  await authority(folder, 'ours')
  await authority(folder, 'clients')
  await issue(folder, 'first', 'ours')
  await issue(folder, 'friend', 'clients')
  await issue(folder, 'enemy', 'ours')
  await put(folder, 'first')
  await using gateway = await startGateway(nats.url, env(folder, { CHRYS_TLS_CLIENT_CA_FILE: folder.file('clients.crt') }))
  const [ca, ...pairs] = await Promise.all(
    ['ours.crt', 'friend.key', 'friend.crt', 'enemy.key', 'enemy.crt'].map(name => readFile(folder.file(name))),
  )
  const as = (key?: Buffer, cert?: Buffer) => failure(list(gateway.port, credentials.createSsl(ca ?? null, key ?? null, cert ?? null)))
  t.regex((await as(pairs[0], pairs[1])).details, /list of cameras/)
  t.notRegex((await as(pairs[2], pairs[3])).details, /list of cameras/)
  t.notRegex((await as()).details, /list of cameras/)
})

ava('a certificate that can’t be used is refused at start, with a line that says why', async t => {
  await using folder = await temporaryFolder()
  await authority(folder, 'ours')
  await issue(folder, 'first', 'ours')
  await issue(folder, 'stale', 'ours', '20200101000000Z', '20210101000000Z')
  await issue(folder, 'early', 'ours', '20980101000000Z')
  const refusal = async (more: Record<string, string> = {}) => {
    const { message } = await t.throwsAsync(startGateway('nats://127.0.0.1:1', env(folder, more)))
    return message
  }
  await put(folder, 'first', 'stale')
  t.regex(await refusal(), /^config: CHRYS_TLS_KEY_FILE: is not the key of the certificate$/m)
  await put(folder, 'stale')
  t.regex(await refusal(), /^config: CHRYS_TLS_CERT_FILE: has expired on 2021-01-01T00:00:00.000Z$/m)
  await put(folder, 'early')
  t.regex(await refusal(), /^config: CHRYS_TLS_CERT_FILE: is not valid before 2098-01-01/m)
  await put(folder, 'first')
  await writeFile(folder.file('tls.crt'), 'no certificate')
  t.regex(await refusal(), /^config: CHRYS_TLS_CERT_FILE: holds no certificate in PEM$/m)
  t.regex(await refusal({ CHRYS_TLS_KEY_FILE: '' }), /^config: CHRYS_TLS_KEY_FILE: is required with the other two$/m)
  await put(folder, 'first')
  t.regex(await refusal({ CHRYS_TLS_CLIENT_CA_FILE: folder.file('first.key') }), /^config: CHRYS_TLS_CLIENT_CA_FILE: holds no certificate/m)
})
