// Writes docs/models.md from the registry: `node scripts/models-doc.mjs` after a build.
import { writeFileSync } from 'node:fs'
import { modelsPage } from '../dist/models/page.js'
import { formatsSection } from '../dist/weights/formats-page.js'

writeFileSync(new URL('../docs/models.md', import.meta.url), modelsPage() + formatsSection())
