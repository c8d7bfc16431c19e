import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { readServeOptions } from '../lib/cli/serve-options.js'
import { createHandler } from '../lib/server/index.js'
import { root } from './support/commands.js'
import { octavo } from './support/octavo.js'
import { TestServer } from './support/server.js'

const read = (file: string) => readFileSync(join(root, 'deploy', file), 'utf8')
const manifest = (name: string): unknown => parse(read(`kubernetes/${name}.yaml`))

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string }
}
interface Deployment {
  readonly spec: {
    readonly selector: { readonly matchLabels: object }
    readonly template: {
      readonly metadata: {
        readonly labels: Readonly<Record<string, string>>
        readonly annotations: Readonly<Record<string, string>>
      }
      readonly spec: {
        readonly terminationGracePeriodSeconds: number
        readonly containers: readonly [Container]
      }
    }
  }
}
interface Container {
  readonly args: readonly string[]
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
  readonly startupProbe: Probe
  readonly livenessProbe: Probe
  readonly readinessProbe: Probe
  readonly lifecycle: { readonly preStop: { readonly exec: { readonly command: string[] } } }
  readonly securityContext: { readonly runAsUser: number }
}

const deployment = manifest('deployment') as Deployment
const { template, selector } = deployment.spec
const [container] = template.spec.containers
const help = octavo(['serve', '--help']).stdout
const DEFAULT_PORT = Number(/any\s+free\s+one\s+\(default:\s+(\d+)\)/.exec(help)![1])

/** Seconds that `--shutdown-timeout` gives in a command line. */
const shutdownTimeout = (line: string) => Number(/--shutdown-timeout[ =](\d+)/.exec(line)![1])
const flagsOf = (line: string) => line.match(/--[a-z-]+/g) ?? []

describe('Kubernetes', () => {
  test('probes ask a path that is open, at the port that is served', async () => {
    expect(container.ports).toEqual([{ name: 'http', containerPort: DEFAULT_PORT }])
    const loading = new Promise<never>(() => undefined)
    const handler = createHandler(loading, { apiKeys: ['secret'] })
    for (const { httpGet } of [
      container.startupProbe,
      container.livenessProbe,
      container.readinessProbe,
    ]) {
      expect(httpGet.port).toBe('http')
      const answer = await handler(new Request(`http://pod${httpGet.path}`))
      expect([answer.status, await answer.json()]).toEqual([503, { status: 'starting' }])
    }
    expect(template.metadata.annotations['prometheus.io/port']).toBe(String(DEFAULT_PORT))
  })

  test('a pod that ends has the time to finish its requests', () => {
    const [command, seconds] = container.lifecycle.preStop.exec.command
    expect(command).toBe('sleep')
    const drained = Number(seconds) + shutdownTimeout(container.args.join(' '))
    expect(template.spec.terminationGracePeriodSeconds).toBeGreaterThan(drained)
  })

  test('the service and the pool of a gateway find the pods', () => {
    const service = manifest('service') as {
      spec: { selector: object; ports: [{ targetPort: string }] }
    }
    const pool = manifest('inference-pool') as {
      spec: { selector: { matchLabels: object }; targetPorts: [{ number: number }] }
    }
    expect(service.spec.ports[0].targetPort).toBe('http')
    expect(pool.spec.targetPorts[0].number).toBe(DEFAULT_PORT)
    for (const labels of [
      service.spec.selector,
      pool.spec.selector.matchLabels,
      selector.matchLabels,
    ]) {
      expect(template.metadata.labels).toMatchObject(labels)
    }
  })
})

test('flags that are passed are flags that there are', () => {
  const lines = [container.args.join(' '), /^ExecStart=.*$/m.exec(read('octavo.service'))![0]]
  lines.push(/^ENTRYPOINT (.*)$/m.exec(read('Dockerfile'))![1]!)
  for (const flag of lines.flatMap(flagsOf)) expect(help).toContain(flag)
})

test('the image serves as the user, and at the port, that the pod expects', () => {
  const image = read('Dockerfile')
  expect(image).toContain(`EXPOSE ${DEFAULT_PORT}\n`)
  expect(image).toContain(`http://127.0.0.1:${DEFAULT_PORT}/health`)
  expect(image).toContain(`USER ${container.securityContext.runAsUser}\n`)
})

test('systemd waits for longer than requests may take, and its options are known', async () => {
  const unit = read('octavo.service')
  const [, stop] = /^TimeoutStopSec=(\d+)$/m.exec(unit)!
  expect(Number(stop)).toBeGreaterThan(shutdownTimeout(unit))
  const options = await readServeOptions({}, join(root, 'deploy/octavo.yaml'))
  expect(options).toMatchObject({ model: 'demo', port: DEFAULT_PORT })
})

describe('gateways', async () => {
  const server = await TestServer.start({ basePath: '/openai' })
  afterEach(() => server.settled())

  /** What each reads of /metrics. */
  test.each([
    [
      'the endpoint picker of the Gateway API and of llm-d',
      ['num_requests_waiting', 'num_requests_running', 'kv_cache_usage_perc', 'cache_config_info'],
    ],
    [
      "vLLM's production stack",
      [
        ...['num_requests_running', 'num_requests_waiting', 'gpu_cache_usage_perc'],
        ...['gpu_prefix_cache_hit_rate', 'gpu_prefix_cache_hits_total'],
        'gpu_prefix_cache_queries_total',
      ],
    ],
    ['KEDA', ['num_requests_waiting', 'generation_tokens_total', 'prompt_tokens_total']],
  ])('%s find their metrics', async (_, names) => {
    const text = await (await fetch(`${server.url}/metrics`)).text()
    for (const name of names)
      expect(text).toMatch(new RegExp(`^vllm:${name}\\{[^}]+\\} [\\d.]+$`, 'm'))
    expect(text).toMatch(/^vllm:cache_config_info\{.*block_size="16",num_gpu_blocks="\d+"/m)
  })

  test('KServe asks below /openai, others without; headers of theirs change nothing', async () => {
    const headers = {
      ...{ 'x-request-id': 'gate-1', 'x-ai-eg-model': 'demo', 'x-slo-ttft-ms': '200' },
      ...{ 'x-gateway-inference-fairness-id': 'a', 'x-gateway-inference-objective': 'b' },
    }
    for (const path of ['/openai/v1/completions', '/v1/completions']) {
      const body = { prompt: 'Once', max_tokens: 3, ignore_eos: true, stream: true }
      const options = { stream_options: { include_usage: true } }
      const answer = await server.post(path, { ...body, ...options }, { headers })
      expect([answer.status, answer.headers.get('x-request-id')]).toEqual([200, 'gate-1'])
      expect(await answer.text()).toContain('"completion_tokens":3')
    }
    const models = (await (await fetch(`${server.url}/openai/v1/models`)).json()) as object
    expect(models).toMatchObject({ data: [{ id: 'demo', root: 'demo', parent: null }] })
  })
})
