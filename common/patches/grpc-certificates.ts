// Server credentials whose certificate can be replaced while they are in use. grpc-js has them, among what may change without notice.
// Upstream: https://github.com/grpc/grpc-node/issues/570
// Tried with: @grpc/grpc-js 1.14.7
import { experimental, type ServerCredentials } from '@grpc/grpc-js'

/** PEM. `clientCa`: authorities, one of which must have signed the certificate of each client; whether there are any must not change. */
export type Pem = { cert: Buffer; key: Buffer; clientCa: Buffer | undefined }

/** `current` is asked at once, and each time that `reload` is called. */
export function reloadableCredentials(current: () => Pem): { credentials: ServerCredentials; reload: () => void } {
  const listeners = new Set<() => void>()
  const listen = <T>(makeUpdate: () => T) => {
    const wrapped = new Map<(update: T) => void, () => void>()
    return {
      add: (listener: (update: T) => void) => {
        const update = () => listener(makeUpdate())
        wrapped.set(listener, update)
        listeners.add(update)
        queueMicrotask(update) // grpc-js asks to be told before it is ready to hear
      },
      remove: (listener: (update: T) => void) => {
        listeners.delete(wrapped.get(listener) ?? (() => {}))
        wrapped.delete(listener)
      },
    }
  }
  const identity = listen(() => ({ certificate: current().cert, privateKey: current().key }))
  const authorities = listen(() => {
    const { clientCa } = current()
    return clientCa === undefined ? null : { caCertificate: clientCa }
  })
  const provider = {
    addIdentityCertificateListener: identity.add,
    removeIdentityCertificateListener: identity.remove,
    addCaCertificateListener: authorities.add,
    removeCaCertificateListener: authorities.remove,
  }
  const asksClients = current().clientCa !== undefined
  const credentials = experimental.createCertificateProviderServerCredentials(provider, asksClients ? provider : null, asksClients)
  return {
    credentials,
    reload: () => {
      for (const update of listeners) update()
    },
  }
}
