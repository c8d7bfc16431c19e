// What npm runs at install: compiles the addon with all processors, unless there is one that loads.
process.env.JOBS ??= 'max' // node-gyp's --jobs
require('node-gyp-build/bin.js')
