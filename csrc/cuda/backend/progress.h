// Which kernel began last: each leaves a mark in memory of the host, so that after a failure, which
// only says that something went wrong, it is known where.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "../kernels/stream.h"
#include "runtime.h"

namespace octavo::cuda {

class Progress {
 public:
  Progress();

  // What kernels leave that are launched for `name`.
  Mark MarkOf(std::string name);

  // Calls what submits work to the stream or waits for it. Where it throws because a kernel failed,
  // then or earlier, the error says for what the kernel was launched.
  void Watch(Stream stream, const std::function<void()>& body) const;

 private:
  std::vector<std::string> names_;  // by the value of their mark
  PinnedPointer word_;
};

}  // namespace octavo::cuda
