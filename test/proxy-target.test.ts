import test from 'ava'
import { Failure } from '../common/errors.ts'
import { readManifests } from '../deploy/local/manifests.ts'
import { parseTarget, readTargetText } from '../sidecar/forward/target.ts'
import { temporaryFolder } from './fixtures/tmp.ts'
import { writeFile } from 'node:fs/promises'

test('an RTMP URL says where to connect, and what to tell the server', t => {
  t.like(parseTarget('rtmp://example.test/live/abc'), {
    ...{ tls: false, host: 'example.test', port: 1935, tcUrl: 'rtmp://example.test/live', app: 'live', playPath: 'abc', streamKey: 'abc' },
  })
  t.like(parseTarget('rtmps://Example.test:8443/a/b/key-1?token=x/y&z=1'), {
    ...{ tls: true, host: 'Example.test', port: 8443, tcUrl: 'rtmps://Example.test:8443/a/b', app: 'a/b' },
    ...{ playPath: 'key-1?token=x/y&z=1', streamKey: 'key-1' },
  })
  t.like(parseTarget('rtmps://h/app/key'), { port: 443, streamKey: 'key' })
  t.like(parseTarget('rtmp://u:p%40ss@[::1]:1/app/key/'), { host: '[::1]', port: 1, userInfo: 'u:p%40ss@', app: 'app', streamKey: 'key' })
  t.like(parseTarget('rtmp://h/only'), { app: 'only', playPath: '', streamKey: 'only' })
})

for (const text of [
  'http://h/live/s3cret',
  'rtmpt://h/live/s3cret',
  '-version s3cret',
  '/etc/s3cret',
  'file:///s3cret',
  'rtmp://',
  'rtmp:///app/s3cret',
  'rtmp://h',
  'rtmp://h/',
  'rtmp://h:0/app/s3cret',
  'rtmp://h:70000/app/s3cret',
  'rtmp://h:x/app/s3cret',
  'rtmp://h/app/s3cret more',
  'rtmp://h/app/s3cret\nrtmp://other/app/key',
  'rtmp://h/app/s3cret\0',
]) {
  test(`${JSON.stringify(text)} is no target, which is said without repeating it`, t => {
    const error = t.throws(() => parseTarget(text), { instanceOf: Failure })
    t.is(error.reason, 'ForwardingTargetInvalid')
    t.notRegex(error.message, /s3cret/)
  })
}

test('the file may end in a line break, and may be missing', async t => {
  await using folder = await temporaryFolder()
  await writeFile(folder.file('url'), 'rtmp://h/app/key\r\n')
  t.is(await readTargetText(folder.file('url')), 'rtmp://h/app/key')
  t.is(await readTargetText(folder.file('none')), undefined)
})

test('the example’s Secret holds a target', async t => {
  const { cameras, secrets } = await readManifests(['deploy/examples/proxy.yaml'])
  const { name = '', key = '' } = cameras[0]?.spec.proxy?.urlSecretRef ?? {}
  const url = secrets.find(secret => secret.name === name)?.data.get(key)
  t.is(parseTarget(String(url)).app, 'app')
})
