/** How much older steps still count when one more is learned. */
const MEMORY = 0.99

/** Share of the mean square that tokens must vary by before a slope means anything. */
const LEAST_VARIATION = 1e-3

/**
 * Learns what one more token costs a step: the slope of a line through the last steps' tokens and
 * seconds. What a step costs however few its tokens are, as reading the weights, is thus left out.
 */
export class TokenCost {
  #steps = 0
  #tokens = 0
  #seconds = 0
  #tokenSquares = 0
  #products = 0

  learn(tokens: number, seconds: number): void {
    this.#steps = MEMORY * this.#steps + 1
    this.#tokens = MEMORY * this.#tokens + tokens
    this.#seconds = MEMORY * this.#seconds + seconds
    this.#tokenSquares = MEMORY * this.#tokenSquares + tokens * tokens
    this.#products = MEMORY * this.#products + tokens * seconds
  }

  /** Seconds a token; while all steps had about as many tokens, their whole time shared among them. */
  get seconds(): number {
    if (this.#steps === 0) return 0
    const variation = this.#steps * this.#tokenSquares - this.#tokens ** 2
    if (variation < LEAST_VARIATION * this.#steps * this.#tokenSquares)
      return this.#seconds / this.#tokens
    const slope = (this.#steps * this.#products - this.#tokens * this.#seconds) / variation
    return Math.max(0, slope)
  }
}
