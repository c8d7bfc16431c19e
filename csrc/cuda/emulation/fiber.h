// A stack of its own for each thread of a block, and switching between them on one CPU thread.
#pragma once

#include <cstddef>
#include <memory>

namespace octavo::cuda::emulation {

// A suspended computation. Its stack is reserved once and used again by every Start.
class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // The next Resume calls entry(argument) from the top, whatever was suspended before. `entry` must
  // end in Suspend and never return.
  void Start(void (*entry)(void*), void* argument);
  // Runs the fiber until it suspends itself.
  void Resume();
  // Called on the fiber: goes back to whoever resumed it.
  void Suspend();

 private:
  struct Context;
  std::unique_ptr<Context> context_;
};

}  // namespace octavo::cuda::emulation
