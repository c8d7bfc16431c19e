// Tables and pages of Markdown, formatted as the project's others.
import { readFileSync, writeFileSync } from 'node:fs'
import { format, resolveConfig } from 'prettier'

export function table(head, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [head, head.map(() => '---'), ...rows].map(line).join('\n')
}

export async function writeMarkdown(path, text) {
  const settings = await resolveConfig(path)
  writeFileSync(path, await format(text, { ...settings, filepath: path }))
}

/** Puts a text between a page's marks `<!-- NAME -->` and `<!-- end of NAME -->`. */
export async function writeSection(path, name, text) {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`]
  const page = readFileSync(path, 'utf8')
  const [start, stop] = [page.indexOf(begin), page.indexOf(end)]
  if (start < 0 || stop < start) throw new Error(`${path}: expected ${begin} and ${end}`)
  const before = page.slice(0, start + begin.length)
  await writeMarkdown(path, `${before}\n\n${text}\n\n${page.slice(stop)}`)
}
