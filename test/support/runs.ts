/** Cases of a property: `fast` in `npm test`, ten times as many in `npm run test:full`, or what `FC_RUNS` says. */
export function runs(fast: number): number {
  return Number(process.env.FC_RUNS ?? (process.env.OCTAVO_FULL ? 10 * fast : fast))
}
