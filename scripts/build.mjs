// node scripts/build.mjs [native] [javascript]      Compiles both if none is named.
import { buildJavaScript } from './lib/javascript.mjs'
import { buildNative } from './lib/native.mjs'

const steps = { native: buildNative, javascript: buildJavaScript }
const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(steps)
for (const name of wanted) {
  if (!(name in steps)) {
    console.error(`No build step "${name}". There are: ${Object.keys(steps).join(', ')}.`)
    process.exit(1)
  }
}
for (const name of wanted) await steps[name]()
