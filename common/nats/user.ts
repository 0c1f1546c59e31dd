// What a credentials file says about its user.
import * as v from 'valibot'

const Subjects = v.optional(v.object({ allow: v.optional(v.array(v.string()), []) }), {})
const Claims = v.object({ nats: v.object({ pub: Subjects, sub: Subjects }) })

export type NatsUser = {
  /** Where answers to its requests come, if it may listen at a place of its own only. */
  inbox: string | undefined
  /** It may not make streams. */
  isConfined: boolean
}

/** Undefined for a file that holds no token; NATS will refuse it. */
export function userIn(creds: string): NatsUser | undefined {
  const payload = /ey[\w-]+\.(ey[\w-]+)\.[\w-]+/.exec(creds)?.[1]
  if (payload === undefined) return undefined
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), Claims), Buffer.from(payload, 'base64url').toString())
  if (!parsed.success) return undefined
  const { pub, sub } = parsed.output.nats
  const mayMake = pub.allow.length === 0 || pub.allow.some(subject => /^(>|\$JS\.>|\$JS\.API\.(>|STREAM\.(>|CREATE)))/.test(subject))
  return { inbox: sub.allow.find(subject => /^_INBOX\..+\.>$/.test(subject))?.slice(0, -2), isConfined: !mayMake }
}
