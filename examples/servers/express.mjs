import express from 'express'
import { LLMEngine } from 'octavo'
import { createHandler, toNodeListener } from 'octavo/server'

const app = express()
app.use('/llm', toNodeListener(createHandler(LLMEngine.load('demo')))) // before express.json()
export const server = app.listen(process.env.PORT ?? 8000)
