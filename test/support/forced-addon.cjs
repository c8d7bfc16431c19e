// The addon, whose engines all run on the instruction set OCTAVO_FORCED_ISA with OCTAVO_FORCED_THREADS threads, whatever
// they are asked for. Point OCTAVO_ADDON at this file to use it.
const addon = require('../../build/Release/octavo.node')
const [isa, threads] = [process.env.OCTAVO_FORCED_ISA, Number(process.env.OCTAVO_FORCED_THREADS)]

class ForcedEngine extends addon.Engine {
  constructor(options) {
    super({ ...options, isa, threads })
  }
}

module.exports = { ...addon, Engine: ForcedEngine }
