export type Attributes = Readonly<Record<string, string | number>>

export const FONT = 'DejaVu Sans, Verdana, Geneva, sans-serif'

const escapes: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
}

export function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (character) => escapes[character]!)
}

/** One SVG element; numbers lose what nobody sees. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const list = Object.entries(attributes)
    .map(
      ([key, value]) => ` ${key}="${typeof value === 'number' ? short(value) : escapeText(value)}"`,
    )
    .join('')
  return content === '' ? `<${name}${list}/>` : `<${name}${list}>${content}</${name}>`
}

export function text(x: number, y: number, words: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escapeText(words))
}

export function line(
  x1: number,
  y1: number,
  x2: number,
  y2: number,
  attributes: Attributes,
): string {
  return element('line', { x1, y1, x2, y2, ...attributes })
}

export function translated(x: number, y: number, content: string): string {
  return element('g', { transform: `translate(${short(x)},${short(y)})` }, content)
}

/** A whole picture on white. */
export function picture(width: number, height: number, content: string): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${short(width)} ${short(height)}`,
    width,
    height,
    'font-family': FONT,
    'font-size': 11,
    fill: '#222',
  }
  return element('svg', attributes, element('rect', { width, height, fill: '#fff' }) + content)
}

/** Two decimals at most. Throws RangeError for what has no place in a picture. */
export function short(value: number): string {
  if (!Number.isFinite(value)) throw new RangeError(`a picture cannot show ${value}`)
  return String(Math.round(value * 100) / 100)
}
