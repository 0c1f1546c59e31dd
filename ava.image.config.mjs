import config from './ava.config.mjs'

// Builds the image, which compiles ffmpeg the first time: more than everyone waits for at each change.
export default { ...config, files: ['test/image/*.test.ts'], timeout: '60m' }
