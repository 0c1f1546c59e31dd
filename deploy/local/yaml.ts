// YAML as kubectl reads it: YAML 1.2 with the booleans of 1.1 (`yes`, `off` …), several documents per file.
import { parseAllDocuments, type ScalarTag, type YAMLParseError } from 'yaml'

export type YamlDocument = {
  /** From 1, as a reader counts them; empty documents count, and are left out. */
  number: number
  value: unknown
}

/** `problems` is empty when the whole text was read. Problems quote nothing of the text: it may hold a secret. */
export type YamlText = { documents: YamlDocument[]; problems: string[] }

const YES = /^(?:y|yes|true|on)$/
const NO = /^(?:n|no|false|off)$/

/** Written in lower case, in capitals, or with a capital; nothing else (`yEs` is a string). */
const spelling = (word: string) => (/^([a-z]+|[A-Z]+|[A-Z][a-z]+)$/.test(word) ? word.toLowerCase() : '')

const BOOLEAN_11: ScalarTag = {
  tag: 'tag:yaml.org,2002:bool',
  default: true,
  test: /^(?:[Yy]|[Nn]|[Yy]es|YES|[Nn]o|NO|[Tt]rue|TRUE|[Ff]alse|FALSE|[Oo]n|ON|[Oo]ff|OFF)$/,
  resolve: word => (YES.test(spelling(word)) ? true : NO.test(spelling(word)) ? false : word),
}

const SENTENCES: Partial<Record<YAMLParseError['code'], string>> = {
  DUPLICATE_KEY: 'the same key stands twice',
  TAB_AS_INDENT: 'a tab is used as indentation; use spaces',
  BAD_INDENT: 'the indentation does not fit',
  MISSING_CHAR: 'a character is missing, such as a closing quote, a comma, or the space after a colon',
  BAD_ALIAS: 'an alias (*) without its anchor (&)',
  RESOURCE_EXHAUSTION: 'nested too deeply',
  TAG_RESOLVE_FAILED: 'a tag (!) that is not known',
  BAD_DQ_ESCAPE: 'a backslash in double quotes that YAML does not know; use single quotes',
}

export function readYaml(text: string): YamlText {
  const parsed = parseAllDocuments(text, { customTags: tags => [BOOLEAN_11, ...tags], merge: true, prettyErrors: true, logLevel: 'silent' })
  const documents: YamlDocument[] = []
  const problems: string[] = []
  for (const [index, document] of [...parsed].entries()) {
    const number = index + 1
    for (const { code, linePos } of document.errors) {
      const at = linePos === undefined ? '' : ` (line ${linePos[0].line}, column ${linePos[0].col})`
      problems.push(`document ${number}${at}: not YAML: ${SENTENCES[code] ?? 'something that cannot stand here'}`)
    }
    if (document.errors.length > 0) continue
    try {
      const value: unknown = document.toJS({ maxAliasCount: 100 })
      if (value !== null && value !== undefined) documents.push({ number, value })
    } catch {
      problems.push(`document ${number}: not YAML: aliases (*) that cannot be resolved, or too many of them`)
    }
  }
  return { documents, problems }
}
