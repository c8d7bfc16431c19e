import { EngineError } from '../errors.js'
import type { Addon } from '../native/addon-types.js'
import type { EngineConfig } from './config.js'

/** Where an engine computes. */
export type Device = 'cpu' | 'cuda'

/** What a device gives an engine to plan with. */
export interface DeviceMemory {
  readonly device: Device
  /** Bytes that the engine may take there. */
  readonly available: number
}

/** The share of a GPU's memory that this engine and others may take in all. */
export function gpuMemoryShare({ gpuMemoryUtilization }: EngineConfig): number {
  return gpuMemoryUtilization ?? GPU_MEMORY_UTILIZATION
}

/** The share of a GPU's memory that is used where no option says another. */
const GPU_MEMORY_UTILIZATION = 0.9

/**
 * The device that the option names. `auto` is the GPU where the addon can use one; it says in a line of
 * log why not, if the addon was built for it.
 *
 * @throws EngineError `device_unavailable` for 'cuda' where it cannot be used, with what was looked for.
 */
function chooseDevice(addon: Addon, { device, log }: EngineConfig): Device {
  if (device === 'cpu' || (device === 'auto' && !addon.hasCuda)) return 'cpu'
  const failure = addon.cudaFailure()
  if (failure === '') return 'cuda'
  if (device === 'cuda') throw new EngineError('device_unavailable', `device 'cuda': ${failure}`)
  log(`computing on the CPU: ${failure}`)
  return 'cpu'
}

/** Chooses the device and asks how much of its memory may be taken. */
export function deviceMemory(addon: Addon, config: EngineConfig): DeviceMemory {
  const device = chooseDevice(addon, config)
  if (device === 'cpu') return { device, available: addon.availableMemory() }
  const { free, total } = addon.cudaMemory()
  return { device, available: Math.max(0, Math.floor(free - (1 - gpuMemoryShare(config)) * total)) }
}
