// What callers may do with a camera, as Kubernetes RBAC says it: a verb on a subresource of the Camera. Roles grant them, with
// resourceNames for single cameras; docs/access.md has the table.

export const RIGHTS = {
  /** Live frames, snapshots and packets. */
  frames: { verb: 'get', subresource: 'frames' },
  /** Frames and packets of the past. */
  past: { verb: 'get', subresource: 'past' },
  annotate: { verb: 'create', subresource: 'annotations' },
  /** To read what others annotated. */
  annotations: { verb: 'get', subresource: 'annotations' },
  /** Proxy and Storage. */
  forwarding: { verb: 'update', subresource: 'forwarding' },
  /** Probe and status, and to be in a list at all. */
  camera: { verb: 'get', subresource: '' },
} as const

export type Right = keyof typeof RIGHTS

/** `get cameras/frames`, as an error names it. */
export const rightText = (right: Right): string => {
  const { verb, subresource } = RIGHTS[right]
  return `${verb} cameras${subresource === '' ? '' : `/${subresource}`}`
}
