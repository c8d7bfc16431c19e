import { once } from 'node:events'
import { availableParallelism } from 'node:os'
import { isMainThread, parentPort, Worker } from 'node:worker_threads'
import { figures } from './figures/all.js'
import type { Figure } from './report/figure.js'

/** Most objects of a replay live as long as a request: longer than the default young generation. */
const resourceLimits = { maxYoungGenerationSizeMb: 192 }

interface Task {
  readonly id: string
  readonly job: unknown
}

/** Runs one job of a figure on this thread. */
function runTask({ id, job }: Task): unknown {
  return figures.find((figure) => figure.id === id)!.run(job)
}

/** What a worker thread does: one job after the other, until it is ended. */
export function serveTasks(): void {
  if (isMainThread) throw new Error('serveTasks: expected a worker thread')
  parentPort!.on('message', (task: Task) => parentPort!.postMessage(runTask(task)))
}

/**
 * Runs all jobs of all figures on worker threads; a figure's results come in the order of its jobs.
 * @param script what a worker runs: it calls serveTasks
 */
export async function runOnWorkers(
  list: readonly Figure[],
  quick: boolean,
  script: URL,
  onDone: (done: number, total: number) => void,
): Promise<Map<Figure, unknown[]>> {
  const results = new Map<Figure, unknown[]>(list.map((figure) => [figure, []]))
  // The last figure has the longest jobs: begun first, none of them is left when the others are done.
  const tasks = list
    .toReversed()
    .flatMap((figure) =>
      figure.jobs(quick).map((job, index) => ({ figure, index, task: { id: figure.id, job } })),
    )
  let started = 0
  let done = 0
  const work = async () => {
    const worker = new Worker(script, { resourceLimits })
    try {
      for (let next = tasks[started++]; next !== undefined; next = tasks[started++]) {
        results.get(next.figure)![next.index] = await ask(worker, next.task)
        onDone(++done, tasks.length)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: Math.min(availableParallelism(), tasks.length) }, work))
  return results
}

async function ask(worker: Worker, task: Task): Promise<unknown> {
  const answer = once(worker, 'message')
  worker.postMessage(task)
  const [result] = (await answer) as unknown[]
  return result
}
