/** What a stop matcher lets through. */
export interface StopMatch {
  /** Text that is safe to show. */
  readonly text: string
  /** The stop string that was completed; the text ends with or before it, and nothing follows. */
  readonly stop: string | null
}

export interface StopMatcherOptions {
  /** Show the stop string that was found. Default false. */
  readonly includeStop?: boolean
}

/**
 * Finds stop strings in a text that comes in pieces, wherever the pieces are cut, and holds back
 * only text that may begin one. The stop string that is complete first wins; of several that end
 * together, the longest. Each character costs the same however long the text is (Knuth, Morris and
 * Pratt's automaton for each stop string).
 *
 * @example
 * const matcher = new StopMatcher(['\n\n'])
 * matcher.push('One\n') // { text: 'One', stop: null }
 * matcher.push('\nTwo') // { text: '', stop: '\n\n' }
 */
export class StopMatcher {
  readonly #automata: readonly Automaton[]
  readonly #includeStop: boolean
  #held = ''

  constructor(stops: readonly string[], options: StopMatcherOptions = {}) {
    const longestFirst = [...stops].sort((a, b) => b.length - a.length)
    this.#automata = longestFirst.map((stop) => new Automaton(stop))
    this.#includeStop = options.includeStop ?? false
  }

  /**
   * Adds text. With `mayStop` false it passes even where it completes a stop string, as it does
   * before `minTokens`; it may still begin one.
   */
  push(text: string, mayStop = true): StopMatch {
    const all = this.#held + text
    for (let i = this.#held.length; i < all.length; i++) {
      const stop = this.#advance(all.charCodeAt(i))
      if (stop === null || !mayStop) continue
      this.#held = ''
      const end = i + 1
      return { text: all.slice(0, this.#includeStop ? end : end - stop.length), stop }
    }
    const safe = all.length - this.#longestBeginning()
    this.#held = all.slice(safe)
    return { text: all.slice(0, safe), stop: null }
  }

  /** Gives the text held back: no stop string will follow it. */
  flush(): string {
    const text = this.#held
    this.#held = ''
    for (const automaton of this.#automata) automaton.matched = 0
    return text
  }

  /** Every automaton takes the character; gives the longest stop string that it completes. */
  #advance(unit: number): string | null {
    let found: string | null = null
    for (const automaton of this.#automata) {
      if (automaton.advance(unit)) found ??= automaton.stop
    }
    return found
  }

  #longestBeginning(): number {
    return this.#automata.reduce((longest, { matched }) => Math.max(longest, matched), 0)
  }
}

/** Follows one stop string: how much of it the text seen so far ends with. */
class Automaton {
  readonly stop: string
  /** Length of the longest beginning of `stop` that the text ends with; below its whole length. */
  matched = 0
  /** For each length: the longest proper beginning that a beginning of that length ends with. */
  readonly #shorter: Int32Array

  constructor(stop: string) {
    this.stop = stop
    this.#shorter = new Int32Array(stop.length + 1)
    let length = 0
    for (let i = 1; i < stop.length; i++) {
      length = this.#extend(length, stop.charCodeAt(i))
      this.#shorter[i + 1] = length
    }
  }

  /** Takes the next character; true if it completes the stop string. */
  advance(unit: number): boolean {
    const matched = this.#extend(this.matched, unit)
    const complete = matched === this.stop.length
    this.matched = complete ? this.#shorter[matched]! : matched
    return complete
  }

  #extend(length: number, unit: number): number {
    while (length > 0 && this.stop.charCodeAt(length) !== unit) length = this.#shorter[length]!
    return this.stop.charCodeAt(length) === unit ? length + 1 : 0
  }
}
