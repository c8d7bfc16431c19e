import { checkInteger, checkNumber, outOfRange, wrongType, type RawOptions } from '../check.js'
import type { SamplingOptions, SamplingParams } from '../sampling-params.js'
import { BeamSearch } from '../scheduling/beam-search.js'

type BeamOption = 'beamWidth' | 'lengthPenalty' | 'earlyStopping'

/** Options that say how tokens are drawn, where beam search draws none. */
const DRAWING = [
  'bestOf',
  'temperature',
  'topP',
  'topK',
  'minP',
  'presencePenalty',
  'frequencyPenalty',
  'repetitionPenalty',
  'stop',
  'logitBias',
  'allowedTokenIds',
  'badWords',
  'structuredOutputs',
  'seed',
] as const satisfies readonly (keyof SamplingOptions)[]

/**
 * Checks the options of beam search, and that nothing contradicts them. The sequences of a search are
 * its beams, and its rows need no random numbers.
 */
export function checkBeams(
  raw: RawOptions,
  { maxNumSeqs }: { readonly maxNumSeqs: number },
): Pick<SamplingParams, BeamOption> & Partial<Pick<SamplingParams, 'bestOf' | 'temperature'>> {
  const { beamWidth: width, lengthPenalty, earlyStopping } = raw
  if (width === undefined) {
    for (const [name, value] of Object.entries({ lengthPenalty, earlyStopping })) {
      if (value !== undefined) throw outOfRange(name, 'none without beamWidth', value)
    }
    return { beamWidth: null, lengthPenalty: 1, earlyStopping: false }
  }
  const beamWidth = checkInteger('beamWidth', width, { min: 1 })
  if (beamWidth > maxNumSeqs) {
    throw outOfRange('beamWidth', `at most maxNumSeqs, which is ${maxNumSeqs}`, beamWidth)
  }
  const drawing = DRAWING.find((name) => raw[name] !== undefined)
  if (drawing !== undefined) {
    throw outOfRange(drawing, 'none with beamWidth, as beam search draws no tokens', raw[drawing])
  }
  const n = checkInteger('n', raw.n ?? 1, { min: 1 })
  if (n > beamWidth) throw outOfRange('n', `at most beamWidth, which is ${beamWidth}`, n)
  return {
    beamWidth,
    bestOf: beamWidth,
    temperature: 0,
    lengthPenalty: lengthPenalty === undefined ? 1 : checkNumber('lengthPenalty', lengthPenalty),
    earlyStopping: checkEarlyStopping(earlyStopping),
  }
}

/** Begins the search of a request; null for one that draws. */
export function makeBeamSearch(
  params: SamplingParams,
  model: {
    readonly maxTokens: number
    readonly eosTokenIds: readonly number[]
    readonly vocabSize: number
  },
): BeamSearch | null {
  const { beamWidth, ignoreEos, stopTokenIds } = params
  if (beamWidth === null) return null
  const endTokenIds = new Set([...(ignoreEos ? [] : model.eosTokenIds), ...stopTokenIds])
  const most = model.vocabSize - endTokenIds.size
  if (beamWidth > most) {
    throw outOfRange('beamWidth', `at most ${most}, the tokens that end no output`, beamWidth)
  }
  return new BeamSearch({
    ...{ width: beamWidth, endTokenIds, maxTokens: model.maxTokens, minTokens: params.minTokens },
    ...{ lengthPenalty: params.lengthPenalty, earlyStopping: params.earlyStopping },
  })
}

function checkEarlyStopping(value: unknown): boolean | 'never' {
  if (value === undefined) return false
  if (value === 'never' || typeof value === 'boolean') return value
  const wrong = typeof value === 'string' ? outOfRange : wrongType
  throw wrong('earlyStopping', "true, false or 'never'", value)
}
