import { readFileSync } from 'node:fs'

/** CPU time of the main thread, in milliseconds. Linux counts each thread's; the main one has the process's number. */
export function threadTime() {
  const [nanoseconds] = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')
  return Number(nanoseconds) / 1e6
}
