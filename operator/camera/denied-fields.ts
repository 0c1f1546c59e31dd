// What an administrator denies to authors of Cameras: these fields decide about the node and about what runs in the pod. Pure.
import type { CameraSpec } from '../../proto/camera.ts'
import type { DeniedField } from '../../proto/settings.ts'

const FIELDS: Record<DeniedField, { path: string; isUsed: (spec: CameraSpec) => boolean }> = {
  image: { path: 'spec.pod.image', isUsed: ({ pod }) => pod?.image !== undefined },
  env: { path: 'spec.pod.env', isUsed: ({ pod }) => (pod?.env ?? []).length > 0 },
  hostPath: { path: 'spec.archive.volume.hostPath', isUsed: ({ archive }) => archive?.volume.hostPath !== undefined },
}

/** Paths of the denied fields that the spec uses. */
export const deniedIn = (spec: CameraSpec, denied: readonly DeniedField[]): string[] =>
  denied.map(field => FIELDS[field]).flatMap(({ path, isUsed }) => (isUsed(spec) ? [path] : []))
