import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CommandOptions, npm, root } from './commands.js'

/** A program's rest, after it got LLMEngine and EngineError: prints what it generated as JSON. */
export const GENERATE = `
async function main() {
  const engine = await LLMEngine.load('demo')
  const [output] = await engine.generate(['Once upon a time'], { maxTokens: 8, temperature: 0 })
  await engine.close()
  const { text, tokenIds } = output.outputs[0]
  const error = await LLMEngine.load('./no-such-folder').catch((reason) => reason)
  const code = error instanceof EngineError ? error.code : String(error)
  console.log(JSON.stringify({ text, tokens: tokenIds.length, code }))
}
main()
`

/** Packs a folder, the checkout by default, into another and gives the tarball's path. */
export function pack(destination: string, folder = root): string {
  npm(['pack', '--ignore-scripts', '--pack-destination', destination], { cwd: folder })
  const tarball = readdirSync(destination).find((name) => name.endsWith('.tgz'))
  return join(destination, tarball!)
}

/** Installs a tarball into a folder as a user does who has nothing else there. */
export function installInto(folder: string, tarball: string, options: CommandOptions = {}): void {
  const allowScripts = { [`file:${tarball}`]: true } // which npm asks for from version 12 on
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, allowScripts }))
  npm(['install', '--no-audit', '--no-fund', tarball], { ...options, cwd: folder })
}
