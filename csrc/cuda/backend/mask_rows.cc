#include "mask_rows.h"

#include <cstring>
#include <stdexcept>

namespace octavo::cuda {

bool MaskRows::Wants(const StepView& step) {
  for (int r = 0; r < step.samples; ++r)
    if (step.sample_ints[r].shared_mask >= 0) return true;
  return false;
}

void MaskRows::Reserve(int rows, int words) {
  const size_t bytes = static_cast<size_t>(rows) * static_cast<size_t>(words) * sizeof(uint32_t);
  if (!device_.Reserve(bytes)) return;
  staging_ = AllocatePinned(bytes);
  sent_ = nullptr;
}

void MaskRows::Send(const StepView& step, Stream stream) {
  if (!Wants(step)) return;
  if (sent_ == nullptr)
    sent_ = CreateEvent();
  else
    WaitOnHost(sent_.get());  // the copy before has left the staging memory
  const size_t row_bytes = static_cast<size_t>(step.mask_words) * sizeof(uint32_t);
  const size_t bytes = row_bytes * static_cast<size_t>(step.samples);
  if (bytes > device_.bytes) throw std::runtime_error("the step's masks have too many words");
  auto* to = static_cast<uint8_t*>(staging_.get());
  for (int r = 0; r < step.samples; ++r, to += row_bytes) {
    const int row = step.sample_ints[r].shared_mask;
    const auto* from = reinterpret_cast<const uint8_t*>(step.shared_masks);
    if (row >= 0) std::memcpy(to, from + row_bytes * static_cast<size_t>(row), row_bytes);
  }
  CopyToDevice(device_.memory.get(), staging_.get(), bytes, stream);
  Record(sent_.get(), stream);
}

}  // namespace octavo::cuda
