import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { modelsPage } from '../lib/models/page.js'
import { formatsSection } from '../lib/weights/formats-page.js'

it('docs/models.md lists what the registry knows', () => {
  expect(readFileSync(new URL('../docs/models.md', import.meta.url), 'utf8')).toBe(
    modelsPage() + formatsSection(),
  )
})
