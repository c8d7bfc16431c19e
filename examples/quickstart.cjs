// The same package from CommonJS.
const { LLMEngine } = require('octavo')

async function main() {
  const engine = await LLMEngine.load('demo')
  const [output] = await engine.generate('The capital of France', { temperature: 0 })
  console.log(output.prompt + output.outputs[0].text)
  await engine.close()
}

main()
