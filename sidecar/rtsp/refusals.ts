// Why a camera refuses a request, from the status of its answer, in words that a person can act on.
import { Failure } from '../../common/errors.ts'

/** `line`: the status line as the camera wrote it. */
export function refusalOf(method: string, status: number, line: string, hasCredentials: boolean): Failure {
  const said = `${method}: ${line
    .replace(/^RTSP\/\d\.\d\s*/i, '')
    .replaceAll(/[^\x20-\x7e]/g, '')
    .slice(0, 60)}`
  if (status >= 300 && status < 400) return new Failure('RedirectRefused')
  switch (status) {
    case 401:
      return hasCredentials
        ? new Failure('AuthFailed', 'the camera refuses the user name or password')
        : new Failure('AuthFailed', 'the camera asks for a user name and password, and spec.source.credentialsSecretRef names none')
    case 403:
      return new Failure('AuthFailed', `the camera refuses the user name or password, or this user may not see the stream (${said})`)
    case 404:
    case 410:
      return new Failure('NotFound')
    case 461:
      return new Failure('TransportUnsupported')
    case 453:
    case 503:
      return new Failure('NoConnectionLeft', `the camera has no connection left, as other clients may hold them (${said})`)
    case 454:
    case 455:
      return new Failure('SessionRefused', `the camera has lost the session, or ended it (${said})`)
    default:
      return status >= 500
        ? new Failure('ServerError', `the camera answers with an error of its own (${said})`)
        : new Failure('RequestRefused', `the camera refuses the request (${said})`)
  }
}
