/** Options of one call. */
export interface CallOptions {
  /** Rejects the call with `signal.reason` and frees what it holds. */
  readonly signal?: AbortSignal
}

/** Options of a chat call: what its template may use. */
export interface ChatOptions extends CallOptions {
  /** Tools that the template describes to the model, in OpenAI's form. */
  readonly tools?: readonly object[]
  /** Variables that only this template knows, such as `enable_thinking`. */
  readonly variables?: Readonly<Record<string, unknown>>
}
