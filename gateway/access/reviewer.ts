// Asks the API server who a token belongs to (TokenReview) and what that user may do (SubjectAccessReview). Needs no other right.
import type { KubeApi } from '../../common/kube/client.ts'
import type { CameraRef } from '../../proto/subjects.ts'
import { RIGHTS, type Right } from './rights.ts'

/** A user as the API server knows it. */
export type User = { username: string; uid?: string; groups?: string[]; extra?: Record<string, string[]> }

export type Reviewer = {
  /** Undefined where the token is not valid, or for another audience. Rejects when the API server does not answer. */
  identify(token: string): Promise<User | undefined>
  may(user: User, right: Right, ref: CameraRef): Promise<boolean>
}

type TokenReview = { status?: { authenticated?: boolean; user?: User; audiences?: string[] } }
type SubjectAccessReview = { status?: { allowed?: boolean } }

const GROUP = 'video.chrys.cloud'
const TIMEOUT_MS = 5_000

/** `audiences`: those that a token must be for, one of them; none: the API server's own. */
export const kubeReviewer = (api: Pick<KubeApi, 'request'>, audiences: readonly string[]): Reviewer => ({
  async identify(token) {
    const body = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenReview',
      spec: { token, ...(audiences.length === 0 ? {} : { audiences }) },
    }
    const { status } = await api.request<TokenReview>('POST', '/apis/authentication.k8s.io/v1/tokenreviews', {
      body,
      timeoutMs: TIMEOUT_MS,
    })
    const isForUs = audiences.length === 0 || (status?.audiences ?? []).some(audience => audiences.includes(audience))
    return status?.authenticated === true && isForUs ? status.user : undefined
  },
  async may({ username, uid, groups, extra }, right, { namespace, name }) {
    const { verb, subresource } = RIGHTS[right]
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SubjectAccessReview',
      spec: {
        user: username,
        ...(uid === undefined ? {} : { uid }),
        ...(groups === undefined ? {} : { groups }),
        ...(extra === undefined ? {} : { extra }),
        resourceAttributes: { group: GROUP, resource: 'cameras', subresource, verb, namespace, name },
      },
    }
    const { status } = await api.request<SubjectAccessReview>('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
      body,
      timeoutMs: TIMEOUT_MS,
    })
    return status?.allowed === true
  },
})
