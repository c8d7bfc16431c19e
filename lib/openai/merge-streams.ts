/** The items of several streams as they come, at most one of each waiting. Leaving ends them all. */
export function mergeStreams<T>(
  streams: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<T, void, undefined> {
  return streams.length === 1 ? streams[0]! : merged(streams)
}

async function* merged<T>(
  streams: readonly AsyncGenerator<T, void, undefined>[],
): AsyncGenerator<T, void, undefined> {
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
        yield arrived.next.value
        pull(arrived.source)
      }
    }
  } finally {
    // A stream that still waits ends by the caller's signal; it is not waited for.
    for (const stream of streams) stream.return().catch(() => undefined)
  }
}
