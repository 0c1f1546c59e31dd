// The places that say which version this is.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const PLACES = [
  ['package.json', /^ {2}"version": "(.*)",$/m],
  ['package-lock.json', /^ {2}"version": "(.*)",$/m],
  ['charts/chrysalis-edge/Chart.yaml', /^version: (.*)$/m],
  ['charts/chrysalis-edge/Chart.yaml', /^appVersion: (.*)$/m],
  ['deploy/image/Dockerfile', /^ARG VERSION=(.*)$/m],
  ['clients/python/pyproject.toml', /^version = "(.*)"$/m],
  ['CHANGELOG.md', /^## (\d\S*)/m],
] as const

/** The version; `problems` names each place that has another one than package.json. */
export function readVersion(root: string): { version: string; problems: string[] } {
  const found = PLACES.map(([file, pattern]) => ({ file, version: pattern.exec(readFileSync(join(root, file), 'utf8'))?.[1] ?? 'none' }))
  const version = found[0]?.version ?? 'none'
  return { version, problems: found.filter(place => place.version !== version).map(place => `${place.file} says ${place.version}`) }
}
