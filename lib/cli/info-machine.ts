import { arch, cpus, release, totalmem, type } from 'node:os'
import { EngineError } from '../errors.js'
import type { Addon } from '../native/addon-types.js'
import { addonFile, loadAddon } from '../native/addon.js'
import { messageOf } from './failure.js'
import type { Fact } from './info.js'
import { bytes } from './terminal.js'
import { version } from '../version.js'

/** What this machine offers an engine. */
export function describeMachine(): Fact[] {
  const cpu = cpus()[0]?.model.trim() ?? 'unknown'
  return [
    text('version', 'Octavo', version()),
    text('node', 'Node', process.version),
    text('system', 'system', `${type()} ${release()}, ${arch()}`),
    text('cpu', 'CPU', cpu),
    ...describeAddon(),
  ]
}

/** What the native addon sees; or why there is none. */
function describeAddon(): Fact[] {
  let addon: Addon
  try {
    addon = loadAddon()
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    return [text('addon', 'addon', messageOf(error))]
  }
  const free = addon.availableMemory()
  const threads = addon.availableCpus()
  const sets = addon.instructionSets
  return [
    { name: 'instructionSets', label: 'instruction sets', text: sets.join(', '), value: sets },
    { name: 'threads', label: 'threads', text: String(threads), value: threads },
    {
      name: 'availableMemory',
      label: 'memory',
      text: `${bytes(free)} available of ${bytes(totalmem())}`,
      value: free,
    },
    text('addon', 'addon', addonFile(addon)),
  ]
}

function text(name: string, label: string, value: string): Fact {
  return { name, label, text: value, value }
}
