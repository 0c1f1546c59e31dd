// V8 by itself collects all garbage each time that 64 MB of buffers have been made, ten times a second at 720p30, which took more than a third of
// sidecar and gateway.
// Upstream: https://github.com/nodejs/node/issues/1671
// Tried with: node 24
import { setFlagsFromString } from 'node:v8'

/**
 * For processes through whose buffers frames pass; to be called before any does. Buffers then count as part of the heap and are collected as that
 * grows.
 */
export function countBuffersAsHeap(): void {
  setFlagsFromString('--external-memory-accounted-in-global-limit')
}
