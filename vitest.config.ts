import { defineConfig } from 'vitest/config'

// The addon computes on both cores whatever the number of workers; forks keep a crash in it to one file.
export default defineConfig({
  test: {
    pool: 'forks',
    maxWorkers: 2,
    projects: [
      { extends: true, test: { name: 'fast', include: ['test/*.test.ts'], testTimeout: 30_000 } },
      {
        extends: true,
        test: { name: 'slow', include: ['test/slow/*.test.ts'], testTimeout: 1_200_000 },
      },
    ],
  },
})
