import { styleText } from 'node:util'

type Format = Parameters<typeof styleText>[0]
type Terminal = NodeJS.WriteStream

/** Formats a text for a stream: plain unless it is a terminal that shows colours and NO_COLOR is unset. */
export function paint(stream: Terminal, format: Format, text: string): string {
  return showsColours(stream) ? styleText(format, text) : text
}

function showsColours(stream: Terminal): boolean {
  // isTTY is undefined where the stream is a file or a pipe.
  return stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== 'dumb'
}

/** Writes a line to standard error, where all that is not the result goes. */
export function note(line: string): void {
  process.stderr.write(`${paint(process.stderr, 'dim', line)}\n`)
}

/** `1 token`, `1,234 tokens` */
export function count(value: number, noun: string): string {
  return `${Math.round(value).toLocaleString('en')} ${noun}${value === 1 ? '' : 's'}`
}

/** `281 tokens/s`, `2.4 tokens/s` */
export function rate(tokens: number, seconds: number): string {
  const perSecond = seconds > 0 ? tokens / seconds : 0
  return `${perSecond < 10 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString('en')} tokens/s`
}

/** `37 %`, `0.4 %`, `<0.1 %` */
export function percent(share: number): string {
  const value = 100 * share
  if (value > 0 && value < 0.1) return '<0.1 %'
  return `${value > 0 && value < 10 ? value.toFixed(1) : Math.round(value)} %`
}

/** `12 KiB`, `1.5 GiB` */
export function bytes(value: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB']
  const power = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10))
  const scaled = value / 2 ** (10 * power)
  return `${scaled < 100 && power > 0 ? scaled.toFixed(1) : Math.round(scaled)} ${units[power]}`
}

/** `45 s`, `3 min 20 s`, `2 h 5 min` */
export function duration(seconds: number): string {
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  const minutes = Math.floor(whole / 60)
  if (minutes < 60) return `${minutes} min ${whole % 60} s`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
