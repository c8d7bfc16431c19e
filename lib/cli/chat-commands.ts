import { writeFile } from 'node:fs/promises'
import type { ChatSession } from './chat-session.js'

/** What a command may reach. */
export interface ChatContext {
  readonly session: ChatSession
  /** Tells the user. */
  readonly say: (line: string) => void
  /** Ends the chat. */
  readonly exit: () => void
}

interface ChatCommand {
  /** As the help shows it. */
  readonly usage: string
  readonly help: string
  readonly run: (context: ChatContext, argument: string) => Promise<void> | void
}

const COMMANDS = new Map<string, ChatCommand>([
  ['help', { usage: '/help', help: 'show this', run: showHelp }],
  ['reset', { usage: '/reset', help: 'start a new chat', run: reset }],
  ['system', { usage: '/system [TEXT]', help: 'set or clear the system message', run: setSystem }],
  ['save', { usage: '/save FILE', help: 'write the messages as JSON', run: save }],
  ['exit', { usage: '/exit', help: 'leave (so does Ctrl-D)', run: leave }],
])

/** Runs a line such as `/save chat.json`; false when the line is no command. */
export async function runCommand(context: ChatContext, line: string): Promise<boolean> {
  const [, name, argument] = /^\/(\S*)\s*(.*)$/.exec(line.trim()) ?? []
  if (name === undefined) return false
  const command = COMMANDS.get(name)
  if (command) await command.run(context, argument ?? '')
  else context.say(`/${name}: no such command; /help lists them`)
  return true
}

function showHelp({ say }: ChatContext): void {
  for (const { usage, help } of COMMANDS.values()) say(`${usage.padEnd(16)}${help}`)
  say(`${'Ctrl-C'.padEnd(16)}stop the reply; twice: leave`)
}

function reset({ session, say }: ChatContext): void {
  session.reset()
  say('a new chat begins')
}

function setSystem({ session, say }: ChatContext, text: string): void {
  session.setSystem(text === '' ? null : text)
  say(text === '' ? 'no system message' : 'system message set')
}

async function save({ session, say }: ChatContext, file: string): Promise<void> {
  if (file === '') {
    say('/save FILE: name a file')
    return
  }
  const { messages } = session
  try {
    await writeFile(file, `${JSON.stringify(messages, null, 2)}\n`)
    say(`${messages.length} messages saved to ${file}`)
  } catch (error) {
    say(`cannot save: ${(error as Error).message}`)
  }
}

function leave({ exit }: ChatContext): void {
  exit()
}
