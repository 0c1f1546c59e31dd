// Figures, for a person to read. Pure.
import type { Table } from './scenario.ts'

/** Columns as wide as their widest cell. */
export function tableText({ title, rows }: Table): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  const lines = rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  return [title, ...lines.map(line => `  ${line}`)].join('\n')
}

/** `–` for what was not measured. */
export const figure = (value: number | undefined, digits = 0): string =>
  value === undefined || Number.isNaN(value) ? '–' : value.toFixed(digits)

export const dropText = (drops: Record<string, number>): string =>
  Object.entries(drops)
    .map(([reason, count]) => `${reason} ${count}`)
    .join(', ') || 'none'
