// Which kernel of a backend began last: each leaves a mark in memory of the host, so that after a
// failure, which only says that something went wrong, it is known where. A failure is the whole
// process's: where several backends have kernels under way, it may be any of theirs.
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
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // What kernels leave that are launched for `name`.
  Mark MarkOf(std::string name);

  // Calls what submits work to the stream or waits for it. Where it throws because a kernel failed,
  // then or earlier, the error says for what the kernel was launched.
  void Watch(Stream stream, const std::function<void()>& body) const;

  // Nothing is under way: a failure from here on is another one's.
  void Rest();

 private:
  std::string Last() const;  // empty: none is under way
  std::string WhoFailed() const;

  std::vector<std::string> names_;  // by the value of their mark
  PinnedPointer word_;
};

}  // namespace octavo::cuda
