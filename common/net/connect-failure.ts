// Why a connection to a camera failed.
import { Failure } from '../errors.ts'

export function connectFailure(error: NodeJS.ErrnoException, { phase }: { phase: 'connecting' | 'connected' | 'playing' }): Failure {
  if (error instanceof Failure) return error
  switch (error.code) {
    case 'ECONNREFUSED':
      return new Failure('ConnectionRefused')
    case 'ETIMEDOUT':
      return phase === 'connecting' ? new Failure('ConnectTimeout') : new Failure('ConnectionLost', 'the connection timed out')
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return new Failure('HostUnreachable')
    default:
      return phase === 'connecting'
        ? new Failure('ConnectFailed', `no connection: ${error.code ?? error.message}`)
        : new Failure('ConnectionLost')
  }
}
