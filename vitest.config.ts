import { defineConfig } from 'vitest/config'

// The addon computes on every core, whatever the number of workers; in a fork, a crash of it costs one file.
export default defineConfig(({ mode }) => ({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    expect: { poll: { timeout: 20_000 } }, // the second that is the default is too short on a busy machine
    env: mode === 'full' ? { OCTAVO_FULL: '1' } : {},
    projects: [
      project('fast', 'test/*.test.ts', mode === 'full' ? 600_000 : 30_000),
      project('slow', 'test/slow/*.test.ts', 1_200_000),
    ],
  },
}))

function project(name: string, files: string, timeout: number) {
  return {
    extends: true as const,
    test: { name, include: [files], testTimeout: timeout, hookTimeout: timeout },
  }
}
