import { InvalidArgumentError, Option, type Command } from 'commander'
import { isRecord } from '../check.js'

/** How a flag's text becomes an option's value. */
type FlagKind =
  | 'number'
  | 'text'
  /** Given once for each text. */
  | 'texts'
  /** Separated by commas. */
  | 'integers'
  /** `ID=VALUE`, given once for each. */
  | 'bias'
  /** An object, as JSON. */
  | 'json'
  /** The same of options, whose names may be written as vLLM has them. */
  | 'options'
  /** Off unless `--name` is given. */
  | 'on'
  /** The same, or a text if one follows. */
  | 'onOrText'
  /** On unless `--no-name` is given. */
  | 'off'

/** One option of the library as a command-line flag. */
export interface Flag {
  readonly kind: FlagKind
  readonly help: string
  /** Shown for the value; the kind's own name if absent. */
  readonly value?: string
  /** A letter. */
  readonly short?: string
  /** Not in the help, as this version refuses it or no command has a use for it. */
  readonly hidden?: boolean
}

/** The flags of an options type: a new option without a flag does not compile. */
export type FlagTable<Name extends string> = Readonly<Record<Name, Flag>>

/** `maxNumSeqs` becomes `--max-num-seqs`. */
function flagName(option: string): string {
  return `--${option.replace(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}`
}

/** `max-num-seqs` and `max_num_seqs` become `maxNumSeqs`. */
export function camelCase(name: string): string {
  return name.replace(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase())
}

/** An object of options by their own names; anything else as it is. */
export function camelCaseNames(value: unknown): unknown {
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, of]) => [camelCase(name), of]))
}

/** Adds a table's flags to a command, under a heading of its help. */
export function addFlags(command: Command, heading: string, table: FlagTable<string>): Command {
  for (const [name, flag] of Object.entries(table)) {
    for (const option of optionsOf(flagName(name), flag)) {
      command.addOption(option.hideHelp(option.hidden || flag.hidden === true).helpGroup(heading))
    }
  }
  return command
}

/** The values of a table's flags that were given; commander keeps them under the options' names. */
export function flagValues<Name extends string>(
  table: FlagTable<Name>,
  given: Readonly<Record<string, unknown>>,
): Partial<Record<Name, unknown>> {
  const names = Object.keys(table) as Name[]
  const values = names.map((name) => [name, given[name]] as const)
  return Object.fromEntries(values.filter(([, value]) => value !== undefined)) as Partial<
    Record<Name, unknown>
  >
}

function optionsOf(name: string, { kind, help, value, short }: Flag): Option[] {
  const names = short === undefined ? name : `-${short}, ${name}`
  const valued = (fallback: string) => new Option(`${names} <${value ?? fallback}>`, help)
  switch (kind) {
    case 'number':
      return [valued('number').argParser(parseNumber)]
    case 'text':
      return [valued('text')]
    case 'texts':
      return [valued('text').argParser(addText)]
    case 'integers':
      return [valued('ids').argParser((text) => text.split(',').map(parseNumber))]
    case 'bias':
      return [valued('id=bias').argParser(addBias)]
    case 'json':
      return [valued('json').argParser(parseJson)]
    case 'options':
      return [valued('json').argParser((text) => camelCaseNames(parseJson(text)))]
    case 'on':
      return [new Option(names, help)]
    case 'onOrText':
      return [new Option(`${names} [${value ?? 'text'}]`, help)]
    case 'off':
      return [new Option(name).hideHelp(), new Option(name.replace('--', '--no-'), help)]
    default:
      return kind satisfies never
  }
}

/** What values may be is the library's to check. */
function parseNumber(text: string): number {
  const number = Number(text)
  if (text.trim() === '' || Number.isNaN(number)) {
    throw new InvalidArgumentError(`Expected a number.`)
  }
  return number
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new InvalidArgumentError('Expected JSON.')
  }
}

/** Of a flag that is given once for each of its texts. */
function addText(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function addBias(text: string, before: Readonly<Record<string, number>> = {}) {
  const [id, bias] = text.split('=')
  if (id === undefined || bias === undefined) {
    throw new InvalidArgumentError('Expected ID=BIAS, such as 42=-100.')
  }
  return { ...before, [id]: parseNumber(bias) }
}
