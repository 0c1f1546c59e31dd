import { cacheFolder } from './common/cache.mjs'
import { compiledIn } from './common/node-options.ts'

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
  concurrency: 2,
}
