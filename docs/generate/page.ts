// What the generators of pages share: tables, and where they stand in a page.
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'

/** A page of `docs/` as it should be. */
export type Page = { readonly name: string; readonly text: string }

/** A file of the repository, by its path from `docs/`. */
export const fromDocs = (path: string): string => fileURLToPath(new URL(`../${path}`, import.meta.url))

export const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [head, head.map(() => '---'), ...rows].map(cells => `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`).join('\n')

/** A page written by hand, with its tables put between `<!-- NAME -->` and `<!-- /NAME -->`. Throws where it has no place for one. */
export async function filled(name: string, tables: Readonly<Record<string, string>>): Promise<Page> {
  let text = await readFile(fromDocs(name), 'utf8')
  for (const [mark, rows] of Object.entries(tables)) {
    const place = new RegExp(`(<!-- ${mark} -->)[^]*?(<!-- /${mark} -->)`)
    if (!place.test(text)) throw new Error(`docs/${name} has no place for the table ${mark}`)
    text = text.replace(place, (_, begin: string, end: string) => `${begin}\n\n${rows}\n\n${end}`)
  }
  return { name, text }
}
