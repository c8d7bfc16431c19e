import { writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { runCommand } from '../lib/cli/chat-commands.js'
import { ChatSession, type ChatEngine } from '../lib/cli/chat-session.js'
import type { OutputDelta } from '../lib/engine/outputs.js'
import { temporaryFolder } from './support/files.js'
import { octavo } from './support/octavo.js'

/** Answers word by word with what it was asked; notes the messages that it was given. */
class EchoEngine implements ChatEngine {
  readonly asked: (readonly object[])[] = []
  promptTokens = 0
  failure: Error | null = null

  stats = () =>
    ({ promptTokens: this.promptTokens, prefixCacheHits: this.asked.length * 4 }) as never

  chatStream: ChatEngine['chatStream'] = (messages, _params, options) => {
    this.asked.push(messages)
    this.promptTokens += 6
    const reply = this.#reply(messages.at(-1)!.content as string, options?.signal)
    return Object.assign(reply, { requestId: () => null, output: () => null })
  }

  /** Words in brackets are thoughts. */
  async *#reply(said: string, signal?: AbortSignal): AsyncGenerator<OutputDelta, void, undefined> {
    for (const word of said.split(/(?= )/)) {
      await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
      if (this.failure) throw this.failure
      yield {
        requestId: 'a',
        index: 0,
        text: word.replace(/\(.*\)/, ''),
        reasoning: /\((.*)\)/.exec(word)?.[1] ?? '',
        tokenIds: [1],
        finishReason: null,
        stopReason: null,
      }
    }
  }
}

const makeSession = (system: string | null = null) => {
  const engine = new EchoEngine()
  return { engine, session: new ChatSession(engine, {}, system) }
}

/** Reads a reply to its end, or stops it after some pieces. */
async function ask(session: ChatSession, text: string, stopAfter = Infinity) {
  const stop = new AbortController()
  const pieces = session.reply(text, stop.signal)
  const said: string[] = []
  for (;;) {
    const piece = await pieces.next()
    if (piece.done === true) return { text: said.join(''), stats: piece.value }
    if (said.push(piece.value) === stopAfter) stop.abort()
  }
}

const user = (content: string) => ({ role: 'user', content })
const assistant = (content: string) => ({ role: 'assistant', content })
const system = (content: string) => ({ role: 'system', content })

describe('a chat session', () => {
  test('remembers the turns, and counts each reply by itself', async () => {
    const { engine, session } = makeSession('be kind')
    await ask(session, 'one two')
    const { text, stats } = await ask(session, 'three')
    expect(text).toBe('three')
    expect(stats).toMatchObject({ tokens: 1, promptTokens: 10, cachedTokens: 4 })
    expect(engine.asked[1]).toEqual([
      system('be kind'),
      user('one two'),
      assistant('one two'),
      user('three'),
    ])
  })

  test.each([
    ['(hm)two', 'hm\n\ntwo', 'two'],
    ['(hm) (so)two three', 'hmso\n\n two three', ' two three'],
    ['(hm)', 'hm', ''],
  ])('shows thoughts before the reply, and remembers the reply: %s', async (said, shown, reply) => {
    const { session } = makeSession()
    expect((await ask(session, said)).text).toBe(shown)
    expect(session.messages).toEqual([user(said), assistant(reply)])
  })

  test('keeps a stopped reply as far as it went', async () => {
    const { session } = makeSession()
    const { text } = await ask(session, 'one two three', 2)
    expect(text).toBe('one two')
    expect(session.messages).toEqual([user('one two three'), assistant('one two')])
  })

  test('is as before after a failure', async () => {
    const { engine, session } = makeSession()
    engine.failure = new Error('too long')
    await expect(ask(session, 'one')).rejects.toThrow('too long')
    expect(session.messages).toEqual([])
  })
})

describe('chat commands', () => {
  const run = async (session: ChatSession, line: string) => {
    const said: string[] = []
    let exited = false
    const context = { session, say: (text: string) => said.push(text), exit: () => (exited = true) }
    const known = await runCommand(context, line)
    return { known, said: said.join('\n'), exited }
  }

  test('a line without a slash is none', async () => {
    const { session } = makeSession()
    expect(await run(session, 'what is 1/2?')).toEqual({ known: false, said: '', exited: false })
  })

  test('/help lists them all', async () => {
    const { session } = makeSession()
    const { said } = await run(session, '/help')
    for (const name of ['/reset', '/system', '/save', '/exit', 'Ctrl-C'])
      expect(said).toContain(name)
  })

  test('/reset forgets the turns, /system sets and clears what comes first', async () => {
    const { session } = makeSession()
    await ask(session, 'one')
    await run(session, '/system be brief, please')
    expect(session.messages).toEqual([system('be brief, please'), user('one'), assistant('one')])
    await run(session, '/reset')
    expect(session.messages).toEqual([system('be brief, please')])
    await run(session, '/system')
    expect(session.messages).toEqual([])
  })

  test('/save writes the messages, or says why it cannot', async () => {
    const { session } = makeSession()
    await ask(session, 'one')
    const folder = temporaryFolder()
    const file = join(folder, 'a chat.json')
    expect((await run(session, `/save ${file}`)).said).toBe(`2 messages saved to ${file}`)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual([user('one'), assistant('one')])
    expect((await run(session, `/save ${folder}`)).said).toMatch(/^cannot save: EISDIR/)
    expect((await run(session, '/save')).said).toBe('/save FILE: name a file')
  })

  test('/exit leaves; an unknown command says so', async () => {
    const { session } = makeSession()
    expect((await run(session, '/exit')).exited).toBe(true)
    const { known, said } = await run(session, '/constructor')
    expect([known, said]).toEqual([true, '/constructor: no such command; /help lists them'])
  })
})

describe('octavo chat', () => {
  test('answers each line of a pipe and says what it took', () => {
    const input = 'What is the capital of France?\n\nHow do you say hello in Spanish?\n'
    const { status, stdout, stderr } = octavo(['chat', '--temperature', '0'], { input })
    expect(stdout).toBe('The capital of France is Paris.\nIn Spanish you say Hola.\n')
    const stats = stderr.trim().split('\n')
    expect(stats[0]).toMatch(
      /^\d+ tokens, .+ tokens\/s · first after [\d.]+ s · 0 of 15 prompt tokens/,
    )
    expect(stats[1]).toMatch(/16 of 40 prompt tokens from the cache$/)
    expect(status).toBe(0)
  })

  test("by a template and variables of the user's", () => {
    const folder = temporaryFolder()
    const template = join(folder, 'template.jinja')
    writeFileSync(
      template,
      "{{ '<|im_start|>user\\n' + question + '<|im_end|>\\n<|im_start|>assistant\\n' }}",
    )
    const variables = JSON.stringify({ question: 'What is the capital of France?' })
    const flags = ['--chat-template', template, '--default-chat-template-kwargs', variables]
    const { stdout } = octavo(['chat', '--temperature', '0', ...flags], { input: 'Hi\n' })
    expect(stdout).toBe('The capital of France is Paris.\n')
    const lost = octavo(['chat', '--chat-template', 'nowhere.jinja'], { input: 'Hi\n' })
    expect(lost.stderr).toContain('--chat-template: there is no file nowhere.jinja')
    expect(lost.status).toBe(1)
  })

  test('goes on after a message that does not fit', () => {
    const input = `${'very '.repeat(60)}long\nWhat is the capital of France?\n/exit\nnever read\n`
    const args = ['chat', '--temperature', '0', '--max-model-len', '48']
    const { status, stdout, stderr } = octavo(args, { input })
    expect(stdout).toBe('The capital of France is Paris.\n')
    expect(stderr).toMatch(/^prompt: expected at most 47 tokens .*; \/reset begins a new chat\n/)
    expect(status).toBe(0)
  })
})
