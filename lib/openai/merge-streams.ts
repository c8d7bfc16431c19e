/** An item of one of several streams, and which one it came from. */
export interface MergedItem<T> {
  readonly source: number
  readonly item: T
}

/** The items of several streams as they come, at most one of each waiting. Leaving ends them all. */
export async function* mergeStreams<T>(
  streams: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<MergedItem<T>, void, undefined> {
  const [only] = streams
  if (streams.length === 1 && only !== undefined) {
    for await (const item of only) yield { source: 0, item }
    return
  }
  const ready: { source: number; next: IteratorResult<T, void> }[] = []
  const failures: unknown[] = []
  let wake = (): void => undefined
  const pull = (source: number): void => {
    streams[source]!.next().then(
      (next) => {
        ready.push({ source, next })
        wake()
      },
      (reason: unknown) => {
        failures.push(reason)
        wake()
      },
    )
  }
  try {
    streams.forEach((_, source) => pull(source))
    for (let open = streams.length; open > 0;) {
      if (failures.length > 0) throw failures[0]
      const arrived = ready.shift()
      if (arrived === undefined) {
        await new Promise<void>((resolve) => (wake = resolve))
      } else if (arrived.next.done === true) {
        open--
      } else {
        yield { source: arrived.source, item: arrived.next.value }
        pull(arrived.source)
      }
    }
  } finally {
    // A stream that still waits ends by the caller's signal; it is not waited for.
    for (const stream of streams) stream.return().catch(() => undefined)
  }
}
