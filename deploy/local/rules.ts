// The schema's x-kubernetes-validations: rules in CEL, evaluated by a library as the API server evaluates them.
import { celEnv, isCelError, parse, plan, type CelInput } from '@bufbuild/cel'
import type { Schema } from './schema.ts'

export type Rule = { rule: string; message?: string; fieldPath?: string; reason?: 'FieldValueRequired' }

/** `error`: the rule could not be evaluated on this value, which counts as broken. */
export type Verdict = { holds: true } | { holds: false; error: boolean; kind: string; message: string; fieldPath: string }

export type RuleCheck = (self: unknown, schema: Schema) => Verdict

const ENV = celEnv()

/** Throws where the expression is not CEL. */
export function compileRule({ rule, message = `failed rule: ${rule}`, fieldPath = '', reason }: Rule): RuleCheck {
  const kind = reason === 'FieldValueRequired' ? 'Required value' : 'Invalid value'
  const expression = parse(rule)
  // A rule that compares with the value before an update has nothing to say about a manifest.
  if (/\boldSelf\b/.test(rule)) return () => ({ holds: true })
  const evaluate = plan(ENV, expression)
  return (self, schema) => {
    const result = evaluate({ self: toCel(self, schema) })
    if (isCelError(result)) return { holds: false, error: true, kind, message: 'a rule could not be evaluated', fieldPath }
    return result === true ? { holds: true } : { holds: false, error: false, kind, message, fieldPath }
  }
}

/** CEL tells integers from doubles by the schema's type, JavaScript has but one number. */
function toCel(value: unknown, schema: Schema | undefined): CelInput {
  if (typeof value === 'number') return schema?.type === 'integer' && Number.isInteger(value) ? BigInt(value) : value
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (Array.isArray(value)) return value.map((item: unknown) => toCel(item, schema?.items))
  if (typeof value !== 'object' || value === null) return null
  const fields = Object.entries(value).map(
    ([key, child]) => [key, toCel(child, schema?.properties?.[key] ?? schema?.additionalProperties)] as const,
  )
  return new Map(fields)
}
