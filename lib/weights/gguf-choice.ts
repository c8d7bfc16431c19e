import { EngineError } from '../errors.js'
import { readableTypes } from './ggml-types.js'

/** Which of several GGUF models is meant: one whose name has a tag, one by its path, or the preferred one. */
export interface GgufWish {
  readonly tag?: string
  readonly file?: string
}

/**
 * What is taken where none is named: 4-bit codes, then those of 8 bits by their accuracy, then plain
 * numbers; last what gains little from being stored in fewer bits, as it is computed in 4 or 8.
 */
export const preferredTags: readonly string[] = [
  ...['Q4_K_M', 'Q4_0', 'Q4_K_S', 'Q4_1'],
  ...['Q8_0', 'Q6_K', 'Q5_K_M', 'Q5_K_S', 'Q5_1', 'Q5_0', 'IQ4_NL', 'IQ4_XS', 'MXFP4'],
  ...['BF16', 'F16', 'F32', 'Q3_K_L', 'Q3_K_M', 'Q3_K_S', 'Q2_K'],
]

const PART = /-(\d{5})-of-(\d{5})\.gguf$/
/** The last of a path: the model's own name may have one that looks like it. */
const QUANTISATION = /.*(?<![a-z0-9])((?:I?Q|TQ)\d_\w+)/i
/** Unsloth's name for a mixture of Q8_0 and plain numbers. */
const MIXTURE = 'Q8_K_XL'

/** All files of the model that one of them belongs to: more than one where it is split. */
export function ggufParts(path: string): readonly string[] {
  const [ending, , of] = PART.exec(path) ?? []
  if (ending === undefined) return [path]
  const stem = path.slice(0, -ending.length)
  const number = (i: number) => String(i + 1).padStart(5, '0')
  return Array.from({ length: Number(of) }, (_, i) => `${stem}-${number(i)}-of-${of}.gguf`)
}

/** The models among files, sorted; a split one by its first part. Projectors of images and importance matrices are none. */
export function ggufModels(paths: readonly string[]): readonly string[] {
  return paths.filter((path) => isModel(path) && path === ggufParts(path)[0]).sort()
}

/** The same without those that lack a part. */
export function wholeGgufModels(paths: readonly string[]): readonly string[] {
  const there = new Set(paths)
  return ggufModels(paths).filter((path) => ggufParts(path).every((part) => there.has(part)))
}

function isModel(path: string): boolean {
  if (!path.endsWith('.gguf') || /mmproj/i.test(path)) return false
  return !/imatrix/i.test(path) || QUANTISATION.test(path)
}

/** The models that a wish can mean; one where it is clear. */
export function ggufMatches(models: readonly string[], { tag, file }: GgufWish): readonly string[] {
  if (file !== undefined) return models.filter((path) => path === ggufParts(file)[0])
  if (tag !== undefined) return tagged(models, tag)
  if (models.length === 1) return models
  const preferred = preferredTags.map((tag) => tagged(models, tag))
  return preferred.find((found) => found.length > 0) ?? models
}

/** Those whose name has the tag; Unsloth's own mixture of a type only where nothing else has it. */
function tagged(models: readonly string[], tag: string): readonly string[] {
  const found = models.filter((path) => hasTag(path, tag))
  const plain = found.filter((path) => !hasTag(path, `UD-${tag}`))
  return plain.length > 0 ? plain : found
}

function hasTag(path: string, tag: string): boolean {
  const name = path.replace(PART, '').replace(/\.gguf$/, '')
  return new RegExp(`(?<![a-z0-9])${tag.replaceAll('.', '\\.')}(?![a-z0-9_])`, 'i').test(name)
}

/** The one model that a wish means. Throws EngineError where there is none, or several, or one of a type that is not computed. */
export function chooseGguf(place: string, models: readonly string[], wish: GgufWish = {}): string {
  const [model, ...others] = ggufMatches(models, wish)
  const named = wish.file ?? wish.tag
  if (model === undefined) {
    const what = named === undefined ? 'no GGUF file' : `no GGUF file ${named}`
    throw new EngineError('model_not_found', `${place} has ${what}${facts(models)}`)
  }
  if (others.length > 0)
    throw new EngineError(
      'model_not_found',
      `${place} has ${others.length + 1} GGUF files${named === undefined ? '' : ` ${named}`}; name one of them${facts(models)}`,
    )
  const type = QUANTISATION.exec(model)?.[1]
  if (type !== undefined && !isComputed(type))
    throw new EngineError('unsupported_model', `${place}: ${type} is not computed${facts(models)}`)
  return model
}

/** Whether a type is read, or one that it mainly consists of, as Q4_K_M does of Q4_K; Q4_0_4_4 is another than Q4_0. */
function isComputed(type: string): boolean {
  return [...readableTypes, MIXTURE].some((name) => new RegExp(`^${name}(?!_?\\d)`, 'i').test(type))
}

function facts(models: readonly string[]): string {
  return models.length === 0
    ? ''
    : `: there are ${models.join(', ')}; types that are computed: ${readableTypes.join(', ')}`
}
