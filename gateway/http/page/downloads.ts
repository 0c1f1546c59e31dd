// What a person saves of a camera: a frame as JPEG, and a clip.
import { pathOf, type Camera } from './cameras.ts'
import { make } from './dom.ts'

export function saveFrame(camera: Camera, captureTime: number): void {
  const at = Math.floor(captureTime)
  save(`${pathOf(camera)}/frame.jpg?quality=95&at=${at}`, `${nameOf(camera, at)}.jpg`)
}

export function saveClip(camera: Camera, fromMs: number, lengthMs: number): void {
  const from = Math.floor(fromMs)
  save(`${pathOf(camera)}/clip.mp4?from=${from}&to=${from + lengthMs}`, `${nameOf(camera, from)}.mp4`)
}

const nameOf = ({ name }: Camera, ms: number): string =>
  `${name.replaceAll('/', '-')}-${new Date(ms).toISOString().replaceAll(/[:.]/g, '-')}`

function save(url: string, name: string): void {
  const link = make('a', '')
  link.href = url
  link.download = name
  link.click()
}
