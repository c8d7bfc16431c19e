// A stream of device work, as launchers take it, and for whom the work is.
#pragma once

#include <cstdint>

namespace octavo::cuda {

// What a kernel leaves behind as it begins: `value` at `word`, memory of the host. A failure, which
// only says that something went wrong, is then that of the kernel that began last.
struct Mark {
  int32_t* word = nullptr;  // null: none is wanted
  int32_t value = 0;
};

struct Stream {
  void* handle;  // cudaStream_t, or the emulator's
  Mark mark;

  Stream(void* stream, Mark left = {}) : handle(stream), mark(left) {}
};

}  // namespace octavo::cuda
