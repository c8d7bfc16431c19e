import Fastify from 'fastify'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'

const listener = toNodeListener(createHandler(LLMEngine.load('demo'), { basePath: '/llm' }))
const app = Fastify()
app.removeAllContentTypeParsers()
app.addContentTypeParser('*', (_request, _body, done) => done(null)) // Octavo reads it itself
app.all('/llm/*', ({ raw }, reply) => listener(raw, reply.hijack().raw))
await app.listen({ port: Number(process.env.PORT ?? 8000) })
export const { server } = app
