// Brings weights to the device through two pinned buffers: threads fill one while the other is
// sent.
#pragma once

#include <memory>
#include <vector>

#include "../../cpu/packed_weight.h"
#include "../../cpu/thread_pool.h"
#include "machine.h"

namespace octavo::cuda {

class WeightLoader {
 public:
  // `threads` counts the caller; at least 1.
  explicit WeightLoader(int threads) : threads_(threads) {}

  // The sources one behind the other, converted to the weight's type; a vector's to float32. The
  // views are not used after the call.
  std::shared_ptr<const DeviceWeight> Load(const Weight& weight,
                                           const std::vector<TensorView>& sources, Stream stream);
  // Gives the pinned buffers and the threads back. All copies have been waited for.
  void Release();

 private:
  std::shared_ptr<const DeviceWeight> LoadCodes(const Weight& weight,
                                                const std::vector<TensorView>& sources,
                                                Stream stream);
  struct Half {
    PinnedPointer memory;
    size_t bytes = 0;
    EventPointer sent;
  };
  // The half to fill next, once what it held has been sent.
  uint8_t* NextHalf(size_t bytes);
  // Of a source's items, those that a half holds.
  struct Part {
    size_t first, count;
  };
  // Sends items, `unit` of which stay together, a half at a time: fill(half, part, begin, count)
  // writes `count` of the part's from its `begin` on, on any thread, and copy(half, part) begins
  // the copies.
  template <class Fill, class Copy>
  void InHalves(size_t items, size_t item_bytes, size_t unit, Stream stream, const Fill& fill,
                const Copy& copy);
  void Send(const TensorView& source, Type type, uint8_t* to, Stream stream);
  // The rows of one source, which become the weight's from `row` on.
  void SendCodes(const cpu::SourceRows& source, const Quantization& form, int64_t row,
                 const DeviceWeight& to, Stream stream);

  int threads_;
  std::unique_ptr<cpu::ThreadPool> pool_;  // while weights come
  Half halves_[2];
  int next_ = 0;
};

// Converts `count` elements; the source may be at an odd address.
void ConvertElements(const void* from, Type from_type, size_t count, Type to_type, void* to);
// Elements of a source, whole rows where they are stored as codes, which are decoded on the way.
void ConvertPiece(const TensorView& source, size_t first, size_t count, Type type, uint8_t* to);

}  // namespace octavo::cuda
