import { setMaxListeners } from 'node:events'

/**
 * Maps a list with at most `width` items under way at once; results come in the list's order. The
 * first failure aborts the signal that the other items were given, and rejects.
 */
export async function mapInOrder<T, R>(
  list: readonly T[],
  width: number,
  signal: AbortSignal | undefined,
  map: (item: T, index: number, signal: AbortSignal) => Promise<R>,
): Promise<R[]> {
  const failed = new AbortController()
  const linked = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal
  setMaxListeners(0, linked)
  const results = new Array<R>(list.length)
  let next = 0
  const work = async (): Promise<void> => {
    for (let i = next++; i < list.length; i = next++) {
      results[i] = await map(list[i] as T, i, linked)
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(width, list.length) }, work))
  } catch (error) {
    failed.abort(error)
    throw error
  }
  return results
}
