import { serve } from '@hono/node-server'
import { Hono } from 'hono'
import { LLMEngine } from 'octavo'
import { createHandler } from 'octavo/server'

const handler = createHandler(LLMEngine.load('demo'))
const app = new Hono().mount('/llm', handler)
export const server = serve({ fetch: app.fetch, port: Number(process.env.PORT ?? 8000) })
