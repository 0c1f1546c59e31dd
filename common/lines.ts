import type { Readable } from 'node:stream'

const LINE_MAX = 16_384

/** Calls back with each line of a child process's output. Characters of a line beyond 16 Ki are cut off, whether or not its end comes. */
export function readLines(stream: Readable, onLine: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('error', () => {})
  stream.on('data', (chunk: string) => {
    rest += chunk
    let from = 0
    for (let end = rest.indexOf('\n', from); end >= 0; end = rest.indexOf('\n', from)) {
      onLine(rest.slice(from, Math.min(end, from + LINE_MAX)))
      from = end + 1
    }
    rest = rest.slice(from, from + LINE_MAX)
  })
  stream.on('end', () => rest !== '' && onLine(rest))
}
