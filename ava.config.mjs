import { cacheFolder } from './common/cache.mjs'
import { compiledIn } from './common/node-options.ts'

// These take longest. They begin first, so that none of them runs alone at the end.
const LONGEST = [
  'kube/path',
  'sources',
  'takeover',
  'kube/operator',
  'local',
  'faults',
  'page',
  'kube/',
  'python-client-install',
  'epochs',
  'exactness',
  'proxy',
  'archive',
  'buffered',
  'causes',
  'frame',
  'decoder',
  'rtsp-cameras',
  'thin-link',
  'gateway-placement-live',
  'delivery',
  'annotations',
  'nats-cluster',
  'camera',
  'substream',
]
const rank = file => {
  const found = LONGEST.findIndex(name => file.includes(`/test/${name}`))
  return found < 0 ? LONGEST.length : found
}

export default {
  files: ['test/**/*.test.ts', '!test/image/**'], // those: npm run test:image
  extensions: ['ts'],
  // Tests wait for real cameras and servers, on whatever machine there is; each wait has a shorter limit of its own.
  timeout: '3m',
  // A process per file: what a test starts dies with it.
  workerThreads: false,
  // A process starts in half the time with what an earlier one compiled.
  environmentVariables: compiledIn(cacheFolder(process.env)),
  // Files wait more than they compute, but a camera that encodes takes a good part of a core.
  concurrency: 3,
  sortTestFiles: (a, b) => rank(a) - rank(b) || (a < b ? -1 : 1),
}
