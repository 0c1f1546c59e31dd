/** The oldest nats-server that we work with: older ones lack checks of JetStream's API that users' permissions rely on (docs/nats.md). */
export const NATS_SERVER_OLDEST = '2.12'

/** Whether a nats-server of this version, such as `2.9.10`, is older than that. */
export const isTooOld = (/** @type {string} */ version) => version.localeCompare(NATS_SERVER_OLDEST, 'en', { numeric: true }) < 0
