// What ffmpeg's scale filter makes of a picture's size. Pure.

type Size = { width: number; height: number }

const FUNCTIONS: Readonly<Record<string, (value: number) => number>> = {
  abs: Math.abs,
  ceil: Math.ceil,
  floor: Math.floor,
  round: Math.round,
  sqrt: Math.sqrt,
  trunc: Math.trunc,
}
const TOKEN = /\d+(?:\.\d+)?|[a-z_]+|[-+*/()]/g

/** The size after `scale`, an ffmpeg scale expression of two parts; undefined where it is none. Pixels are taken to be square. */
export function scaledSize(scale: string, { width, height }: Size): Size | undefined {
  const [forWidth, forHeight, ...rest] = scale.split(':')
  if (forWidth === undefined || forHeight === undefined || rest.length > 0 || width <= 0 || height <= 0) return undefined
  const names = { iw: width, in_w: width, ih: height, in_h: height, a: width / height, dar: width / height, sar: 1 }
  const evaluated = (text: string, more: Record<string, number>) => Math.trunc(evaluate(text, { ...names, ...more }))
  // Either part may refer to the other: as ffmpeg does, the first is worked out twice.
  const first = evaluated(forWidth, {})
  const down = evaluated(forHeight, { ow: first, out_w: first })
  const across = evaluated(forWidth, { oh: down, out_h: down })
  return whole(across, down, { width, height })
}

/** 0 stands for the input's own side; −n for the side that keeps the shape, in whole multiples of n. Undefined where no picture would be left. */
function whole(across: number, down: number, { width, height }: Size): Size | undefined {
  if (Number.isNaN(across) || Number.isNaN(down)) return undefined
  let w = across === 0 ? width : across
  let h = down === 0 ? height : down
  const [stepW, stepH] = [Math.max(1, -w), Math.max(1, -h)]
  if (w < 0 && h < 0) [w, h] = [width, height]
  if (w < 0) w = Math.floor(Math.round((h * width) / height) / stepW) * stepW
  if (h < 0) h = Math.floor(Math.round((w * height) / width) / stepH) * stepH
  return w > 0 && h > 0 ? { width: w, height: h } : undefined
}

/** The value of an arithmetic expression; NaN where it is none, or a name has no value yet. */
function evaluate(text: string, names: Readonly<Record<string, number>>): number {
  const tokens = text.match(TOKEN) ?? []
  if (tokens.join('') !== text) return NaN
  let at = 0
  const take = (...wanted: string[]) => (wanted.includes(tokens[at] ?? '') ? tokens[at++] : undefined)
  const operand = (): number => {
    if (take('-') !== undefined) return -operand()
    if (take('+') !== undefined) return operand()
    const token = tokens[at++] ?? ''
    const apply = token === '(' ? (value: number) => value : FUNCTIONS[token]
    if (apply === undefined) return /^\d/.test(token) ? Number(token) : (names[token] ?? NaN)
    if (token !== '(' && take('(') === undefined) return NaN
    const value = apply(sum())
    return take(')') === undefined ? NaN : value
  }
  const product = (): number => {
    let value = operand()
    for (let sign = take('*', '/'); sign !== undefined; sign = take('*', '/')) value = sign === '*' ? value * operand() : value / operand()
    return value
  }
  const sum = (): number => {
    let value = product()
    for (let sign = take('+', '-'); sign !== undefined; sign = take('+', '-')) value += sign === '+' ? product() : -product()
    return value
  }
  const value = sum()
  return at === tokens.length ? value : NaN
}
