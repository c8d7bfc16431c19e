import type { GgufWish } from './gguf-choice.js'

/** A model on the Hugging Face hub, as a caller names it; with a wish one of its GGUF files. */
export interface HubName {
  readonly name: string
  /** organisation/name */
  readonly id: string
  readonly wish: GgufWish | null
}

/** organisation/name, organisation/name:TAG or organisation/name/FILE.gguf, which may lie in a folder. */
const HUB_NAME = /^(\w[\w.-]*\/\w[\w.-]*)(?::(\w[\w.-]*)|\/((?:\w[\w.+-]*\/)*\w[\w.+-]*\.gguf))?$/

/** null where a name is no Hugging Face id. */
export function parseHubName(name: string): HubName | null {
  const [, id, tag, file] = HUB_NAME.exec(name) ?? []
  if (id === undefined) return null
  const wish = tag !== undefined ? { tag } : file !== undefined ? { file } : null
  return { name, id, wish }
}
