// The gateway's settings for the cloud and for annotations, which are sent there.
import type { Reading } from '../../common/env.ts'
import type { CLOUD } from '../../proto/settings.ts'
import type { CloudOptions } from './cloud.ts'

export type CloudConfig = {
  /** Undefined where neither URL is set. */
  credentials: CloudOptions | undefined
  annotationsUrl: string | undefined
  /** Of the Storage call; without a slash at its end. */
  apiUrl: string | undefined
  queue: { messagesMax: number; bytesMax: number }
}

export function readCloudConfig({ values, problem }: Pick<Reading<typeof CLOUD>, 'values' | 'problem'>): CloudConfig {
  const { CHRYS_CLOUD_ANNOTATIONS_URL: annotationsUrl, CHRYS_CLOUD_API_URL: apiUrl } = values
  const { CHRYS_CLOUD_KEY_FILE: keyFile, CHRYS_CLOUD_SECRET_FILE: secretFile } = values
  const isWanted = annotationsUrl !== undefined || apiUrl !== undefined
  for (const name of ['CHRYS_CLOUD_KEY_FILE', 'CHRYS_CLOUD_SECRET_FILE'] as const) {
    if (isWanted && values[name] === undefined) problem(name, 'is required where a URL of the cloud is set')
  }
  const timeoutMs = values.CHRYS_CLOUD_TIMEOUT_MS
  return {
    credentials: isWanted && keyFile !== undefined && secretFile !== undefined ? { keyFile, secretFile, timeoutMs } : undefined,
    annotationsUrl,
    apiUrl: apiUrl?.replace(/\/+$/, ''),
    queue: { messagesMax: values.CHRYS_ANNOTATION_QUEUE_MAX, bytesMax: values.CHRYS_ANNOTATION_QUEUE_MAX_BYTES },
  }
}
