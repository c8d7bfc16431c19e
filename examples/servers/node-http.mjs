import { createServer } from 'node:http'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'

const handler = createHandler(LLMEngine.load('demo'))
export const server = createServer(toNodeListener(handler)).listen(process.env.PORT ?? 8000)
