// node csrc/known_flags.cjs FLAG…    Prints those flags that the C++ compiler knows, for binding.gyp.
// Kernels of an instruction set that it does not know are left out. Nothing on Windows: MSVC has no such flags.
const { spawnSync } = require('node:child_process')

const compiler = process.env.CXX || (process.platform === 'darwin' ? 'c++' : 'g++')

function isKnown(flag) {
  const command = `${compiler} ${flag} -x c++ -fsyntax-only -`
  return spawnSync(command, { shell: true, input: '' }).status === 0
}

if (process.platform !== 'win32') console.log(process.argv.slice(2).filter(isKnown).join(' '))
