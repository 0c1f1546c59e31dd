/** The oldest nats-server that we work with: older ones lack checks of JetStream's API that users' permissions rely on (docs/nats.md). */
export const NATS_SERVER_OLDEST = '2.12'
