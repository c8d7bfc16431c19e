import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { EngineError } from '../errors.js'
import type { Addon } from './addon-types.js'
import { STEP_FORMAT_VERSION } from './step.js'

const require = createRequire(import.meta.url)
const packageRoot = fileURLToPath(new URL('../..', import.meta.url))
const nodeGypBuild = require('node-gyp-build') as { path(folder: string): string }

/** The package that ships the build with the CUDA backend. */
const CUDA_PACKAGE = 'octavo-cuda'

let loaded: Addon | undefined
const fileOfAddon = new WeakMap<Addon, string>()

/**
 * The native addon of this process, found on the first call.
 *
 * @throws EngineError `device_unavailable`, with every place that was tried and why it did not do.
 */
export function loadAddon(): Addon {
  loaded ??= findAddon(packageRoot, process.env.OCTAVO_ADDON)
  return loaded
}

/** The .node file that an addon came from. */
export function addonFile(addon: Addon): string {
  return fileOfAddon.get(addon) ?? 'unknown'
}

/** Looks for the addon of the package in `root`; with `override`, only in that file. */
export function findAddon(root: string, override?: string): Addon {
  const tried: string[] = []
  for (const [place, locate] of places(root, override)) {
    try {
      const file = locate()
      if (file !== null) return checkedAddon(file)
      tried.push(`${place}: not there`)
    } catch (error) {
      tried.push(`${place}: ${firstLine(error)}`)
    }
  }
  const advice = override
    ? 'Correct or unset OCTAVO_ADDON.'
    : 'Compile it with `npm rebuild octavo`, from npm 12 on after `npm install-scripts approve octavo`, or in a clone ' +
      'with `npm run build`. This needs a C++17 compiler, make and Python 3.'
  throw new EngineError(
    'device_unavailable',
    `no native addon for ${process.platform}-${process.arch} loads. ${advice} Tried:\n` +
      tried.map((line) => `  ${line}`).join('\n'),
  )
}

type Place = readonly [name: string, locate: () => string | null]

function places(root: string, override: string | undefined): readonly Place[] {
  if (override) return [[`OCTAVO_ADDON (${override})`, () => override]]
  const file = (folder: string): Place => {
    const path = join(root, folder, 'Release', 'octavo.node')
    return [path, () => (existsSync(path) ? path : null)]
  }
  return [
    file('build-cuda'),
    file('build'),
    [`package ${CUDA_PACKAGE}`, () => locateInPackage(root)],
    [join(root, 'prebuilds'), () => nodeGypBuild.path(root)],
  ]
}

function locateInPackage(root: string): string | null {
  let manifest: string
  try {
    manifest = createRequire(join(root, 'package.json')).resolve(`${CUDA_PACKAGE}/package.json`)
  } catch {
    return null
  }
  return nodeGypBuild.path(dirname(manifest))
}

function checkedAddon(file: string): Addon {
  const addon = require(file) as Addon
  if (addon.stepFormatVersion !== STEP_FORMAT_VERSION) {
    throw new Error(
      `it reads step format ${addon.stepFormatVersion}, this version of Octavo writes ` +
        `${STEP_FORMAT_VERSION}; build it again`,
    )
  }
  fileOfAddon.set(addon, file)
  return addon
}

function firstLine(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return message.split('\n', 1)[0] ?? ''
}
