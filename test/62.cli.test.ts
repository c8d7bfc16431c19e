import { once } from 'node:events'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { describe, expect, test } from 'vitest'
import {
  addEngineFlags,
  addSamplingFlags,
  engineOptions,
  samplingOptions,
} from '../lib/cli/options.js'
import type { RequestOutput } from '../lib/engine/outputs.js'
import { temporaryFolder } from './support/files.js'
import { octavo, startOctavo } from './support/octavo.js'
import demo from './fixtures/demo.json' with { type: 'json' }

const greedyText = (prompt: string) =>
  demo.cases.find((candidate) => candidate.prompt === prompt)!.greedyText

describe('octavo', () => {
  test('shows its version and its help', () => {
    expect(octavo(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
    const { status, stdout } = octavo(['--help'])
    expect(status).toBe(0)
    expect(stdout).toMatchInlineSnapshot(`
      "Usage: octavo [options] [command]

      Runs large language models: continuous batching over a paged key/value cache.

      Options:
        -v, --version                           show the version
        -h, --help                              display help for command

      Commands:
        generate [options] [prompts...]         continue prompts
        chat [options]                          chat in the terminal
        batch [options] <in.jsonl> <out.jsonl>  answer an OpenAI batch file; resumes where it was interrupted
        serve [options] [model]                 answer OpenAI's API over HTTP
        worker [options]                        answer the jobs of a BullMQ queue
        bench                                   put a server under load
        plan [options] [model]                  show the operations that a model is run as
        info [options] [model]                  show what this machine offers, or what a model needs
        help [command]                          display help for command

      Examples:
        $ octavo generate "Once upon a time"
        $ octavo chat -m ./models/smollm2
        $ octavo batch requests.jsonl results.jsonl -m HuggingFaceTB/SmolLM2-135M-Instruct
      "
    `)
  })

  test('goes on when nobody reads its notes', async () => {
    const child = startOctavo(['generate', 'The capital of France', '--temperature', '0'])
    child.stderr!.destroy()
    const [status] = (await once(child, 'exit')) as [number]
    expect(status).toBe(0)
  })

  test.skipIf(!existsSync('/dev/full'))(
    'says in one line that its output cannot be written',
    () => {
      const full = openSync('/dev/full', 'w')
      const { status, stderr } = octavo(['plan', 'demo'], { stdout: full })
      closeSync(full)
      expect(stderr).toBe('octavo: ENOSPC: no space left on device, write\n')
      expect(status).toBe(1)
    },
  )

  test.each(['generate', 'chat', 'batch', 'plan', 'info'])('%s --help has examples', (command) => {
    const { status, stdout } = octavo([command, '--help'])
    expect(status).toBe(0)
    expect(stdout).toContain(`\nExamples:\n  $ octavo ${command}`)
  })

  test.each([
    [['nosuch'], 2, "unknown command 'nosuch'; see octavo --help"],
    [['generate', '--nosuch'], 2, "unknown option '--nosuch'; see octavo generate --help"],
    [
      ['generate', 'x', '--max-tokns', '3'],
      2,
      "unknown option '--max-tokns' (Did you mean --max-tokens?); see octavo generate --help",
    ],
    [
      ['generate', 'x', '--top-p', 'much'],
      2,
      "option '--top-p <number>' argument 'much' is invalid. Expected a number; see octavo generate --help",
    ],
    [
      ['generate', 'x', '--logit-bias', '5'],
      2,
      "option '--logit-bias <id=bias>' argument '5' is invalid. Expected ID=BIAS, such as 42=-100; see octavo generate --help",
    ],
    [
      ['generate', 'x', '--top-p', '7'],
      2,
      '--top-p: expected a number above 0 and at most 1, found 7',
    ],
    [['plan', '--block-size', '0'], 2, '--block-size: expected an integer from 1 to 1024, found 0'],
    [
      ['serve', 'no/such/model', '--max-n', '0'],
      2,
      '--max-n: expected an integer of at least 1, found 0',
    ],
    [
      ['serve', 'no/such/model', '--log-level', 'loud'],
      2,
      "--log-level: expected one of 'trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent', found \"loud\"",
    ],
    [
      ['serve', 'no/such/model', '--port', '99999'],
      2,
      '--port: expected an integer from 0 to 65535, found 99999',
    ],
    [
      ['serve', '--api-key', 'a', '--api-key', ''],
      2,
      '--api-key[1]: expected a string that is not empty, found ""',
    ],
    [
      ['bench', 'serve', '--num-prompts', '0', '--model', 'demo'],
      2,
      '--num-prompts: expected an integer of at least 1, found 0',
    ],
    [
      ['worker', '-m', 'no/such/model', '--lock-duration', '1'],
      2,
      '--lock-duration: expected an integer of at least 100, found 1',
    ],
    [
      ['bench', 'serve', '--rate', '1'],
      2,
      "unknown option '--rate'; see octavo bench serve --help",
    ],
    [['generate'], 2, 'no prompt: give one as an argument, or lines on standard input'],
    [['batch', 'in.jsonl'], 2, "missing required argument 'out.jsonl'; see octavo batch --help"],
    [
      ['generate', 'x', '--quantization', 'int3'],
      1,
      '--quantization "int3" is not supported by this version',
    ],
    [
      ['generate', 'x', '--max-model-len', '4', '--ignore-eos', 'a b c d e f'],
      1,
      /^prompt: expected at most 3 tokens \(maxModelLen 4 less one to draw\), found \d+$/,
    ],
    [['batch', 'no.jsonl', 'out.jsonl'], 1, /^ENOENT: .*no\.jsonl.*; check the path$/],
    [
      ['info', 'no/such/model'],
      1,
      /^no\/such\/model: .*; 'demo' is a model that comes with Octavo$/,
    ],
    [['generate', '-m', 'org/nosuch', 'x'], 1, /^org\/nosuch: .*'demo' is a model that comes with/],
  ])('%j fails in one line', (args, code, message) => {
    const { status, stderr, stdout } = octavo(args)
    const [line, ...rest] = stderr.split('\n')
    expect(rest).toEqual([''])
    const [, found] = /^octavo: (.*)$/.exec(line!) ?? []
    if (typeof message === 'string') expect(found).toBe(message)
    else expect(found).toMatch(message)
    expect(stdout).toBe('')
    expect(status).toBe(code)
  })
})

describe('flags', () => {
  const parse = (...args: string[]) =>
    addEngineFlags(addSamplingFlags(new Command())).parse(args, { from: 'user' }).opts()

  test('set the options of their names, each kind in its way', () => {
    const args = '-n 2 --top-k -1 --temperature 0.5 --stop a --stop b --stop-token-ids 1,2'
    const more = '--logit-bias 5=-100 --logit-bias 7=2 --ignore-eos --no-skip-special-tokens'
    const given = parse(...args.split(' '), ...more.split(' '))
    expect(samplingOptions(given)).toEqual({
      n: 2,
      topK: -1,
      temperature: 0.5,
      stop: ['a', 'b'],
      stopTokenIds: [1, 2],
      logitBias: { 5: -100, 7: 2 },
      ignoreEos: true,
      skipSpecialTokens: false,
    })
    expect(engineOptions(given)).toEqual({})
  })

  test('leave out what is not given; a flag that is on by default may be named too', () => {
    const given = parse('--no-enable-prefix-caching', '--enable-chunked-prefill', '--threads', '1')
    expect(engineOptions(given)).toEqual({
      enablePrefixCaching: false,
      enableChunkedPrefill: true,
      threads: 1,
    })
    expect(samplingOptions(given)).toEqual({})
  })

  test("--seed is the engine's where a command does not draw itself", () => {
    const parsed = addEngineFlags(new Command()).parse(['--seed', '3'], { from: 'user' })
    expect(engineOptions(parsed.opts())).toEqual({ seed: 3 })
    expect(samplingOptions(parse('--seed', '3'))).toEqual({ seed: 3 })
    expect(octavo(['batch', 'no-such-file', 'out', '--seed', 'x']).stderr).toContain(
      'Expected a number',
    )
  })
})

describe('octavo generate', () => {
  test('streams a single prompt and says what it took', () => {
    const args = ['generate', 'Once upon a time', '--temperature', '0', '--max-tokens', '128']
    const { status, stdout, stderr } = octavo(args)
    expect(stdout).toBe(`${greedyText('Once upon a time')}\n`)
    expect(stderr).toMatch(
      /^\d+ tokens in [\d.]+ s · [\d,.]+ tokens\/s · 4 prompt tokens · cache .+ % of [\d,]+ blocks at most\n$/,
    )
    expect(status).toBe(0)
  })

  test('shows several prompts as a list, from standard input too', () => {
    const flags = ['--temperature', '0', '--stop', '.', '--include-stop-str-in-output']
    const expected =
      '> The\ncapital of Egypt is Cairo.\n\n> Lily was a\ncurious girl who loved the market.\n'
    expect(octavo(['generate', 'The', 'Lily was a', ...flags]).stdout).toBe(expected)
    const input = 'The\n\nLily was a\n'
    expect(octavo(['generate', ...flags], { input }).stdout).toBe(expected)
  })

  test('numbers the outputs of one prompt; a seed repeats them', () => {
    const args = ['generate', 'The', '-n', '2', '--seed', '7', '--max-tokens', '4']
    const { stdout } = octavo(args)
    expect(stdout).toMatch(/^> The\n1\. .+\n2\. .+\n$/)
    expect(octavo(args).stdout).toBe(stdout)
  })

  test('--json prints whole outputs', () => {
    const { stdout } = octavo([
      'generate',
      'The',
      '--json',
      '--temperature',
      '0',
      '--logprobs',
      '1',
    ])
    const [output] = JSON.parse(stdout) as RequestOutput[]
    expect(output).toMatchObject({ prompt: 'The', finished: true })
    expect(output?.outputs[0]).toMatchObject({ text: greedyText('The'), finishReason: 'stop' })
    expect(Object.values(output!.outputs[0]!.logprobs![0]!)[0]).toMatchObject({
      rank: 1,
      decodedToken: ' capital',
    })
  })
})

describe('octavo plan', () => {
  test('prints the plan of a model', () => {
    const { status, stdout } = octavo(['plan', 'demo', '--max-num-batched-tokens', '64'])
    expect(stdout).toMatch(/^octavo-plan 1 llama vocab=1536\nlimits T=64 S=256 R=256 arena=\d+\n/)
    expect(stdout).toMatch(/\nsample\(%\d+\) "sample"\n$/)
    expect(status).toBe(0)
  })

  test('--dtype and --kv-cache-dtype are types of the plan; config.json is enough', () => {
    const folder = temporaryFolder()
    const config = { ...llama, num_hidden_layers: 1 }
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
    const flags = ['--dtype', 'float32', '--kv-cache-dtype', 'bfloat16']
    const { stdout } = octavo(['plan', folder, ...flags])
    expect(stdout).toContain('\ncache 0 kv full bfloat16 layers=1 kvHeads=2')
    expect(stdout).toContain('\nweight 0 matrix float32 [100,32]')
  })

  test('--ranks and --rank: the plan of one of several ranks', () => {
    const { stdout } = octavo(['plan', 'demo', '--ranks', '2', '--rank', '1'])
    expect(stdout).toMatch(/^octavo-plan 1 llama vocab=1536 rank=1 ranks=2\n/)
    expect(stdout).toContain('= allReduce(%0) "model.embed_tokens.reduce"')
    const { stderr, status } = octavo(['plan', 'demo', '--ranks', '2', '--rank', '2'])
    expect(stderr).toContain('expected a rank from 0 to ranks − 1, found 2 of 2')
    expect(status).toBe(1)
  })
})

const llama = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 100,
  hidden_size: 32,
  intermediate_size: 64,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 128,
}

describe('octavo info', () => {
  test('shows the machine', () => {
    const { status, stdout } = octavo(['info'])
    expect(stdout).toMatch(/^Octavo +\d+\.\d+\.\d+\nNode +v\d+/)
    expect(stdout).toMatch(
      /\ninstruction sets +.*portable\nthreads +\d+\nmemory +.+ available of .+\n/,
    )
    expect(stdout).toMatch(/\naddon +.+octavo\.node\n$/)
    expect(status).toBe(0)
    expect(JSON.parse(octavo(['info', '--json']).stdout)).toMatchObject({
      node: process.version,
      threads: expect.any(Number) as number,
    })
  })

  test('shows a model without loading its weights', () => {
    const given = ['--num-gpu-blocks-override', '100', '--matmul-precision', 'bfloat16']
    const { stdout } = octavo(['info', 'demo', '--json', ...given])
    expect(JSON.parse(stdout)).toMatchObject({
      architecture: 'LlamaForCausalLM',
      parameters: 1_181_056,
      contextLength: 2048,
      weightBytes: 2_364_928,
      pool: { tokens: 1600, maxModelLen: 1600 },
      tokenizer: 'BPE',
      chatTemplate: true,
    })
    expect(octavo(['info', 'demo']).stdout).toMatch(/\nparameters +1,181,056\n/)
  })

  test('shows what it would take quantised', () => {
    const { stdout } = octavo(['info', 'demo', '--quantization', 'int4'])
    expect(stdout).toMatch(/\nweights +\d+ KiB, int8\/32 and int4\/32\n/)
  })

  test('says what layers keep that do not keep every token', () => {
    const { stdout } = octavo(['info', 'test/fixtures/models/gpt-oss', '--json'])
    const { windows, pool } = JSON.parse(stdout) as { windows: object; pool: { bytes: number } }
    expect(windows).toEqual([{ window: 8, layers: 2 }])
    const tokens = pool.bytes / 512 // of which a block of each group is the null block
    expect(pool).toMatchObject({ tokens: 16 * Math.floor(tokens / 16 - 1 / 2) })
    const { stdout: lfm2 } = octavo(['info', 'test/fixtures/models/lfm2'])
    expect(lfm2).toMatch(/\nstate +1.1 KiB, a sequence\n/)
  })

  test('says when a model does not fit', () => {
    const folder = temporaryFolder()
    const config = { ...llama, hidden_size: 2 ** 16, vocab_size: 2 ** 22 }
    writeFileSync(join(folder, 'config.json'), JSON.stringify(config))
    const { status, stdout } = octavo(['info', folder])
    expect(stdout).toMatch(/\npool +the model needs [\d.]+ GiB for weights, .+ are available\n/)
    expect(status).toBe(0)
  })
})
