// app/llm/[[...path]]/route.js of a Next.js application, with serverExternalPackages: ['octavo'].
import { LLMEngine } from 'octavo'
import { createHandler } from 'octavo/server'

globalThis.octavo ??= createHandler(LLMEngine.load('demo'), { basePath: '/llm' }) // outlives reloads
export const GET = (request) => globalThis.octavo(request)
export const POST = GET
export const runtime = 'nodejs'
