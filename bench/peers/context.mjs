// Time per token against context: what another thousand tokens of context cost each engine.
import { ENGINES } from './engines.mjs'
import { modelFacts } from './model-facts.mjs'

/** A series a width and engine: points of [tokens in the context, microseconds a token] and their slope. */
export function contextSeries(rows, engines, model) {
  const contexts = rows.filter(({ name }) => name.startsWith('context:'))
  const { cachedVectors, headDim } = modelFacts(model)
  return [...new Set(contexts.map(({ bits }) => bits))].flatMap((bits) =>
    engines.map((engine) => {
      const points = contexts
        .filter((row) => row.bits === bits && row.medians[engine] !== undefined)
        .map(({ name, medians }) => [lengthOf(name), 1e6 / medians[engine]])
        .sort(([a], [b]) => a - b)
      const slope = slopeOf(points) // microseconds a token of context
      const bytes = (cachedVectors * headDim * ENGINES[engine].cachedBytes) / 64
      return { bits, engine, points, slope, bytesPerSecond: bytes / (slope * 1e-6) }
    }),
  )
}

/** In the middle of the 64 tokens that are measured. */
const lengthOf = (name) => Number(name.split(':')[1]) + 32

/** Of the line with the least squares; NaN of a single point. */
function slopeOf(points) {
  const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))]
  const covariance = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0)
  return covariance / points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
}
