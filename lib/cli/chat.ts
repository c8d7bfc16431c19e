import { createInterface, type Interface } from 'node:readline/promises'
import type { Command } from 'commander'
import type { LLMEngine } from '../engine/llm-engine.js'
import { EngineError } from '../errors.js'
import { runCommand, type ChatContext } from './chat-commands.js'
import { ChatSession, type ReplyStats } from './chat-session.js'
import { messageOf } from './failure.js'
import { withEngine } from './load.js'
import { addLoraFlag, forOneLora, lorasOf } from './loras.js'
import { addEngineFlags, addModelFlag, addSamplingFlags, samplingOptions } from './options.js'
import { count, note, paint, rate } from './terminal.js'

interface Flags extends Readonly<Record<string, unknown>> {
  readonly model: string
  readonly system?: string
  readonly lora?: string
}

export function addChat(program: Command): void {
  const command = program
    .command('chat')
    .summary('chat in the terminal')
    .description('Chats in the terminal. From a pipe, answers each line.')
    .option('--system <text>', 'what the model is told first')
  addModelFlag(command)
  addLoraFlag(command)
  addSamplingFlags(command)
  addEngineFlags(command)
  command
    .addHelpText(
      'after',
      `
In the chat, /help lists the commands. Ctrl-C stops a reply.

Examples:
  $ octavo chat
  $ octavo chat -m ./models/smollm2 --temperature 0.7 --system "Answer in one sentence."
  $ echo "What is the capital of France?" | octavo chat --temperature 0`,
    )
    .action(chat)
}

async function chat(flags: Flags): Promise<void> {
  const loras = lorasOf(flags.lora)
  const talk = async (engine: LLMEngine) => {
    const session = new ChatSession(engine, samplingOptions(flags), flags.system ?? null, loras[0])
    await new ChatTerminal(engine, session).run()
  }
  await withEngine({ ...forOneLora(flags), seed: undefined }, talk, loras)
}

/** Reads lines, answers them, and minds Ctrl-C. */
class ChatTerminal {
  readonly #session: ChatSession
  readonly #lines: Interface
  readonly #context: ChatContext
  /** A terminal at both ends: there is a prompt, and Ctrl-C is ours. */
  readonly #interactive: boolean
  /** The reply under way. */
  #reply: AbortController | null = null
  /** One more Ctrl-C ends the chat. */
  #leaving = false
  /** The input has not ended; lines that were read before may still wait. */
  #open = true
  /** The rest of the input is not wanted. */
  #left = false

  constructor(engine: LLMEngine, session: ChatSession) {
    this.#session = session
    this.#interactive = process.stdin.isTTY && process.stdout.isTTY
    this.#lines = createInterface({
      input: process.stdin,
      ...(this.#interactive && { output: process.stdout, historySize: 1000 }),
    })
    this.#context = { session, say: note, exit: () => this.#leave() }
    this.#lines.once('close', () => (this.#open = false))
    if (!this.#interactive) return
    this.#lines.setPrompt(paint(process.stdout, ['bold', 'cyan'], '› '))
    this.#lines.on('SIGINT', () => this.#interrupt())
    note(`${engine.model}, ${engine.device}. /help lists the commands.`)
  }

  async run(): Promise<void> {
    this.#prompt()
    for await (const line of this.#lines) {
      this.#leaving = false
      if (line.trim() !== '' && !(await runCommand(this.#context, line))) await this.#answer(line)
      if (this.#left) break
      this.#prompt()
    }
  }

  async #answer(line: string): Promise<void> {
    this.#reply = new AbortController()
    const pieces = this.#session.reply(line, this.#reply.signal)
    try {
      let piece = await pieces.next()
      for (; piece.done !== true; piece = await pieces.next()) process.stdout.write(piece.value)
      process.stdout.write('\n')
      note(statsLine(piece.value))
    } catch (error) {
      if (error instanceof EngineError && error.code === 'engine_dead') throw error
      note(`${messageOf(error)}; /reset begins a new chat`)
    } finally {
      this.#reply = null
    }
  }

  #leave(): void {
    this.#left = true
    this.#lines.close()
  }

  #prompt(): void {
    if (this.#interactive && this.#open) this.#lines.prompt()
  }

  #interrupt(): void {
    if (this.#leaving) {
      this.#leave()
      return
    }
    this.#leaving = true
    if (this.#reply !== null) {
      this.#reply.abort()
      return
    }
    process.stdout.write('\n')
    note('Ctrl-C once more leaves, and so does /exit')
    this.#prompt()
  }
}

function statsLine(stats: ReplyStats): string {
  const { tokens, seconds, secondsToFirst, promptTokens, cachedTokens } = stats
  return [
    `${count(tokens, 'token')}, ${rate(tokens, seconds)}`,
    `first after ${secondsToFirst.toFixed(2)} s`,
    `${cachedTokens} of ${count(promptTokens, 'prompt token')} from the cache`,
  ].join(' · ')
}
