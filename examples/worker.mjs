// Answers jobs such as { url: '/v1/completions', body: { prompt: 'Once' } } of a queue in Redis: npm install bullmq
import { LLMEngine } from 'octavo'
import { startWorker } from 'octavo/worker'

const redis = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379'
const engine = await LLMEngine.load('demo')
const worker = await startWorker(engine, { redis, queue: 'octavo' })
process.once('SIGTERM', () => worker.close().then(() => engine.close()))
