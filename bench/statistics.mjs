/**
 * The number in the middle, or the mean of the two there.
 * @param {readonly number[]} numbers
 */
export function median(numbers) {
  const sorted = numbers.toSorted((a, b) => a - b)
  const [low, high] = [Math.ceil(sorted.length / 2) - 1, Math.floor(sorted.length / 2)]
  return (sorted[low] + sorted[high]) / 2
}

/**
 * The least of the numbers that a share of them (0 to 1) does not exceed.
 * @param {readonly number[]} numbers
 * @param {number} share
 */
export function percentile(numbers, share) {
  const sorted = numbers.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
}
