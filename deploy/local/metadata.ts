import type { Schema } from './schema.ts'

const TEXT: Schema = { type: 'string', maxLength: 1024 }
const TEXTS: Schema = { type: 'object', additionalProperties: { type: 'string', maxLength: 262_144 } }

/**
 * The metadata of any object, as far as a manifest has it: what is written by hand, and what `kubectl get -o yaml` adds, which means
 * nothing here.
 */
export const OBJECT_META: Schema = {
  type: 'object',
  required: ['name'],
  properties: {
    name: { type: 'string', maxLength: 253 },
    namespace: {
      type: 'string',
      'x-kubernetes-validations': [{ rule: "self.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')", message: 'must be a DNS label' }],
    },
    labels: TEXTS,
    annotations: TEXTS,
    finalizers: { type: 'array', items: TEXT },
    uid: TEXT,
    resourceVersion: TEXT,
    generation: { type: 'integer' },
    creationTimestamp: TEXT,
  },
}
