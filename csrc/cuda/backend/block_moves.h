// Copies of cache blocks: those within the device in the stream of the step, those from and to the
// host in a stream of their own, which the step waits for.
#pragma once

#include <vector>

#include "../../step.h"
#include "machine.h"

namespace octavo::cuda {

class BlockMoves {
 public:
  // As if one after the other. Returns before they are done; what is submitted to `stream` later
  // finds them done.
  void Run(const BlockCopy* copies, int count, const CachePool& pool, Stream stream);

 private:
  // Starts copies that do not depend on each other.
  void Launch(const BlockCopy* copies, size_t count, const CachePool& pool, Stream stream);

  StreamPointer swap_stream_;
  EventPointer before_, after_;
  Buffer moves_;
  PinnedPointer staging_;
  size_t capacity_ = 0;
};

// How many of the first copies can be done at once: none reads or writes what another writes.
size_t IndependentCopies(const BlockCopy* copies, size_t count);

}  // namespace octavo::cuda
