// A textlint rule: a sentence has at most so many words, in paragraphs, list items and table cells alike.
import { splitAST, SentenceSplitterSyntax } from 'sentence-splitter'
import { StringSource } from 'textlint-util-to-string'

/**
 * @param {import('@textlint/types').TextlintRuleContext} context
 * @param {{ max?: number }} options
 * @returns {import('@textlint/types').TextlintRuleReportHandler}
 */
export default function sentenceWords({ Syntax, RuleError, report }, { max = 30 }) {
  /** @param {any} node */
  const check = node => {
    for (const sentence of splitAST(node).children) {
      if (sentence.type !== SentenceSplitterSyntax.Sentence) continue
      const text = new StringSource(sentence).toString()
      const words = text.split(/\s+/).filter(word => /[a-z0-9]/i.test(word)).length
      if (words > max) report(/** @type {any} */ (sentence), new RuleError(`${words} words in one sentence; at most ${max}.`))
    }
  }
  return { [Syntax.Paragraph]: check, [Syntax.Header]: check, [Syntax.TableCell]: check }
}
