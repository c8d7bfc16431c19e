/** A worker of BullMQ queues; no code. */
export { startWorker } from './worker.js'
export type { JobWorker, WorkerOptions } from './worker.js'
export type { JobData, JobRequest } from './jobs.js'
