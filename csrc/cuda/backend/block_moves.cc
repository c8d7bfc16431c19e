#include "block_moves.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

namespace octavo::cuda {
namespace {

using Place = std::pair<int32_t, int32_t>;  // tier, block: all groups share one pool

bool WithinDevice(const BlockCopy& copy) { return copy.from_tier == 0 && copy.to_tier == 0; }

}  // namespace

size_t IndependentCopies(const BlockCopy* copies, size_t count) {
  std::set<Place> read, written;
  for (size_t i = 0; i < count; ++i) {
    const Place from{copies[i].from_tier, copies[i].from};
    const Place to{copies[i].to_tier, copies[i].to};
    if (written.count(from) != 0 || written.count(to) != 0 || read.count(to) != 0) return i;
    read.insert(from);
    written.insert(to);
  }
  return count;
}

void BlockMoves::Run(const BlockCopy* copies, int count, const CachePool& pool, Stream stream) {
  for (size_t left = static_cast<size_t>(count); left > 0;) {
    const size_t together = IndependentCopies(copies, left);
    Launch(copies, together, pool, stream);
    copies += together;
    left -= together;
  }
}

void BlockMoves::Launch(const BlockCopy* copies, size_t count, const CachePool& pool,
                        Stream stream) {
  if (swap_stream_ == nullptr) {
    swap_stream_ = CreateStream();
    before_ = CreateEvent();
    after_ = CreateEvent();
  } else {
    WaitOnHost(before_.get());  // the list before has left the staging memory
  }
  if (count > capacity_) {
    Wait(stream);  // copies under way read what is freed
    capacity_ = std::max<size_t>(64, count * 2);
    moves_.Reserve(capacity_ * sizeof(BlockMove));
    staging_ = AllocatePinned(capacity_ * sizeof(BlockMove));
  }
  std::vector<BlockCopy> sorted(copies, copies + count);
  const auto within = std::stable_partition(
      sorted.begin(), sorted.end(), [](const BlockCopy& copy) { return !WithinDevice(copy); });
  const auto swaps = static_cast<size_t>(within - sorted.begin());
  auto* list = static_cast<BlockMove*>(staging_.get());
  for (size_t i = 0; i < count; ++i) {
    list[i] = {pool.Block(sorted[i].from_tier, sorted[i].from),
               pool.Block(sorted[i].to_tier, sorted[i].to)};
  }
  CopyToDevice(moves_.memory.get(), list, count * sizeof(BlockMove), stream);
  Record(before_.get(), stream);
  WaitInStream(before_.get(), swap_stream_.get());
  const auto* moves = moves_.As<const BlockMove>();
  CopyBlocks(moves, static_cast<int>(swaps), pool.block_bytes, {swap_stream_.get(), stream.mark});
  CopyBlocks(moves + swaps, static_cast<int>(count - swaps), pool.block_bytes, stream);
  Record(after_.get(), swap_stream_.get());
  WaitInStream(after_.get(), stream);
}

}  // namespace octavo::cuda
