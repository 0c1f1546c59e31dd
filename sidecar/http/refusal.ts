// Why a camera refuses a request, by its status, in words that a person can act on.
import { STATUS_CODES } from 'node:http'
import { Failure } from '../../common/errors.ts'

/** `asked`: what refused, such as `the camera`. */
export function refusalOf(status: number, hasCredentials: boolean, asked: string): Failure {
  const said = `${status} ${STATUS_CODES[status] ?? ''}`.trim()
  switch (status) {
    case 401:
    case 407:
      return hasCredentials
        ? new Failure('AuthFailed', `${asked} rejects the user name or password`)
        : new Failure('AuthFailed', `${asked} asks for a user name and password, and spec.source.credentialsSecretRef names no Secret`)
    case 403:
      return new Failure('AuthFailed', `${asked} rejects the user name or password, or this user may not see the stream (${said})`)
    case 404:
    case 410:
      return new Failure('NotFound', `${asked} has no stream at this path (${said})`)
    case 429:
    case 453:
    case 503:
      return new Failure('NoConnectionLeft', `${asked} has no connection left (${said})`)
    default:
      return status >= 500
        ? new Failure('ServerError', `${asked} answers with an internal error (${said})`)
        : new Failure('RequestRefused', `${asked} rejects the request (${said})`)
  }
}
