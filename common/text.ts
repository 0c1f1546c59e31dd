// Text that others wrote (a camera, a server, ffmpeg), before it is logged, stored or shown.

const USER_INFO = /([a-z][a-z0-9+.-]*:\/\/)[^/?#\s@]*@/gi

/** `text` without the user info of any URL and without `secrets` in their plain and percent-encoded forms. */
export function scrub(text: string, secrets: readonly string[] = []): string {
  let clean = text.replace(USER_INFO, '$1')
  for (const secret of secrets) {
    if (secret === '') continue
    for (const form of new Set([secret, encodeURIComponent(secret)])) clean = clean.replaceAll(form, '***')
  }
  return clean
}

/** Without control characters, which could steer a terminal or break a line. */
export const printable = (text: string): string => text.replaceAll(/\p{Cc}/gu, ' ')

/** One line of ASCII, cut to `lengthMax` characters. */
export const oneLine = (text: string, lengthMax: number): string =>
  text
    .replaceAll(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, lengthMax)
