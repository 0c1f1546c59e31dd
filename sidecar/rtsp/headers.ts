// The lines of an RTSP message as cameras write them: any case, blanks anywhere, LF alone, lines without a name.

/** Texts have a character for each byte (latin1). */
export type Headers = {
  /** The request or status line. */
  first: string
  /** The first value of this name (in lower case). */
  get(name: string): string | undefined
  /** All values of this name, in order. */
  all(name: string): readonly string[]
}

/** Never throws; what is no line of a header is left out. */
export function readHeaders(text: string): Headers {
  // A line that begins with a blank continues the one before (RFC 2326 4.2).
  const lines = text
    .replaceAll('\r', '')
    .replaceAll(/\n[ \t]+/g, ' ')
    .split('\n')
  const values = new Map<string, string[]>()
  for (const line of lines.slice(1)) {
    const colon = line.indexOf(':')
    if (colon < 0) continue
    const name = line.slice(0, colon).trim().toLowerCase()
    const value = printable(line.slice(colon + 1)).trim()
    const known = values.get(name)
    if (known === undefined) values.set(name, [value])
    else known.push(value)
  }
  return {
    first: printable(lines[0] ?? '').trim(),
    get: name => values.get(name)?.[0],
    all: name => values.get(name) ?? [],
  }
}

// eslint-disable-next-line no-control-regex
const printable = (text: string): string => text.replaceAll(/[\u0000-\u001f\u007f]/g, ' ')
