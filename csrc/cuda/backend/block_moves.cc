#include "block_moves.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <tuple>

namespace octavo::cuda {
namespace {

using Place = std::tuple<int32_t, int32_t, int32_t>;  // group, tier, block

bool WithinDevice(const BlockCopy& copy) { return copy.from_tier == 0 && copy.to_tier == 0; }

}  // namespace

size_t IndependentCopies(const BlockCopy* copies, size_t count) {
  std::set<Place> read, written;
  for (size_t i = 0; i < count; ++i) {
    const Place from{copies[i].group, copies[i].from_tier, copies[i].from};
    const Place to{copies[i].group, copies[i].to_tier, copies[i].to};
    if (written.count(from) != 0 || written.count(to) != 0 || read.count(to) != 0) return i;
    read.insert(from);
    written.insert(to);
  }
  return count;
}

void BlockMoves::Run(const BlockCopy* copies, int count, const std::vector<CachePool>& pools,
                     Stream stream) {
  for (size_t left = static_cast<size_t>(count); left > 0;) {
    const size_t together = IndependentCopies(copies, left);
    Launch(copies, together, pools, stream);
    copies += together;
    left -= together;
  }
}

void BlockMoves::Launch(const BlockCopy* copies, size_t count, const std::vector<CachePool>& pools,
                        Stream stream) {
  if (swap_stream_ == nullptr) {
    swap_stream_ = CreateStream();
    before_ = CreateEvent();
    after_ = CreateEvent();
  } else {
    WaitOnHost(before_.get());  // the list before has left the staging memory
  }
  if (count > capacity_) {
    capacity_ = std::max<size_t>(64, count * 2);
    moves_.Reserve(capacity_ * sizeof(BlockMove));
    staging_ = AllocatePinned(capacity_ * sizeof(BlockMove));
  }
  std::vector<BlockCopy> sorted(copies, copies + count);
  std::stable_sort(sorted.begin(), sorted.end(), [](const BlockCopy& a, const BlockCopy& b) {
    return std::make_tuple(WithinDevice(a), a.group) < std::make_tuple(WithinDevice(b), b.group);
  });
  auto* list = static_cast<BlockMove*>(staging_.get());
  for (size_t i = 0; i < count; ++i) {
    const CachePool& pool = pools.at(static_cast<size_t>(sorted[i].group));
    list[i] = {pool.Block(sorted[i].from_tier, sorted[i].from),
               pool.Block(sorted[i].to_tier, sorted[i].to)};
  }
  CopyToDevice(moves_.memory.get(), list, count * sizeof(BlockMove), stream);
  Record(before_.get(), stream);
  WaitInStream(before_.get(), swap_stream_.get());
  for (size_t first = 0, last = 0; first < count; first = last) {
    const BlockCopy& copy = sorted[first];
    while (last < count && sorted[last].group == copy.group &&
           WithinDevice(sorted[last]) == WithinDevice(copy))
      ++last;
    const Stream used = WithinDevice(copy) ? stream : swap_stream_.get();
    CopyBlocks(moves_.As<const BlockMove>() + first, static_cast<int>(last - first),
               pools[static_cast<size_t>(copy.group)].block_bytes, used);
  }
  Record(after_.get(), swap_stream_.get());
  WaitInStream(after_.get(), stream);
}

}  // namespace octavo::cuda
