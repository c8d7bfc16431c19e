import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createServer, type AddressInfo } from 'node:net'

/** Whether this machine has a Redis server: apt-get install redis-server. */
export const HAS_REDIS = spawnSync('redis-server', ['--version']).status === 0

/** A Redis of its own, in memory, on a free port. */
export class TestRedis {
  readonly url: string
  readonly #process: ChildProcess

  private constructor(url: string, process: ChildProcess) {
    this.url = url
    this.#process = process
  }

  static async start(): Promise<TestRedis> {
    const port = await freePort()
    const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
    const process = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'ignore'] })
    for await (const chunk of process.stdout) {
      if (String(chunk).includes('Ready to accept connections')) break
    }
    return new TestRedis(`redis://127.0.0.1:${port}`, process)
  }

  stop(): void {
    this.#process.kill()
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
