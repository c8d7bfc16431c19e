import Fastify from 'fastify'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'

const listener = toNodeListener(createHandler(LLMEngine.load('demo'), { basePath: '/llm' }))
const answer = ({ raw }, reply) => listener(raw, reply.hijack().raw)
const app = Fastify()
app.all('/llm*', { onRequest: answer, handler() {} }) // a hook, as Fastify has not read the body then
await app.listen({ port: Number(process.env.PORT ?? 8000) })
export const { server } = app
