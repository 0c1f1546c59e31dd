import test from 'ava'
import { access, readFile } from 'node:fs/promises'

const root = new URL('../', import.meta.url)

test('every file and folder that the architecture page names exists', async t => {
  const text = await readFile(new URL('docs/architecture.md', root), 'utf8')
  const named = [...text.matchAll(/`((?:proto|common|sidecar|gateway|operator|deploy|charts)\/[\w./-]*)`/g)].map(([, path = '']) => path)
  t.true(named.length > 70)
  const missing = await Promise.all(
    named.map(path =>
      access(new URL(path, root)).then(
        () => [],
        () => [path],
      ),
    ),
  )
  t.deepEqual(missing.flat(), [])
})
