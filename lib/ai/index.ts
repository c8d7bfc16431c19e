/** A provider of Vercel's AI SDK; no code. */
export { createOctavo } from './provider.js'
export type { OctavoProvider } from './provider.js'
