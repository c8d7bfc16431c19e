import { defineConfig } from 'vitest/config'

// The addon computes on every core, whatever the number of workers; in a fork, a crash of it costs one file.
export default defineConfig(({ mode }) => ({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    env: mode === 'full' ? { OCTAVO_FULL: '1' } : {},
    projects: [
      {
        extends: true,
        test: { name: 'fast', include: ['test/*.test.ts'], testTimeout: 30_000 },
      },
      {
        extends: true,
        test: { name: 'slow', include: ['test/slow/*.test.ts'], testTimeout: 1_200_000 },
      },
    ],
  },
}))
