import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { LLMEngine } from 'octavo'
import { createHandler } from 'octavo/server'

const handler = createHandler(LLMEngine.load('demo'), { basePath: '/llm' })
const app = new Hono().mount('/llm', handler, { replaceRequest: false }) // paths stay whole
export const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8000) })
