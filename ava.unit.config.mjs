// Tests that start no other program: npm run test:unit, on every save. A new one of these belongs into this list.
const NAMES = [
  ...[
    'access',
    'architecture',
    'backoff',
    'camera-clocks',
    'capture-time',
    'certificates',
    'client-address',
    'client-pace',
    'frame-id',
    'gateway-cameras',
    'gateway-ring',
  ],
  ...[
    'health',
    'http-parsers',
    'labels',
    'media-fuzz',
    'media-pace',
    'messages',
    'operator-config',
    'operator-deployment',
    'operator-events',
  ],
  ...[
    'operator-leader',
    'operator-queue',
    'operator-status',
    'pipeline',
    'placement',
    'proxy-target',
    'queue',
    'queue-health',
    'rate-limit',
  ],
  ...['rtsp-authorization', 'rtsp-fuzz', 'rtsp-session', 'sidecar-parts', 'source-url', 'watch-files'],
]

export default { files: NAMES.map(name => `test/${name}.test.ts`), extensions: ['ts'], timeout: '1m', concurrency: 2 }
