// A stream of device work, as launchers take it: cudaStream_t, or the emulator's.
#pragma once

namespace octavo::cuda {

using Stream = void*;

}  // namespace octavo::cuda
