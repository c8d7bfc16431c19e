#include "progress.h"

#include <algorithm>
#include <utility>

namespace octavo::cuda {
namespace {

constexpr int kPlan = 1 << 16;

class MarkedOp : public DeviceOp {
 public:
  MarkedOp(std::unique_ptr<DeviceOp> op, int32_t* mark, int32_t value, Stream stream)
      : op_(std::move(op)), mark_(mark), value_(value), stream_(stream) {}
  void Launch() override {
    op_->Launch();
    Mark(mark_, value_, stream_);
  }

 private:
  std::unique_ptr<DeviceOp> op_;
  int32_t* mark_;
  int32_t value_;
  Stream stream_;
};

}  // namespace

Progress::Progress() : mark_(AllocatePinned(sizeof(int32_t))) {
  *static_cast<int32_t*>(mark_.get()) = 0;
}

void Progress::BeginPlan() { plans_.emplace_back(); }

std::unique_ptr<DeviceOp> Progress::Follow(std::unique_ptr<DeviceOp> op, std::string name,
                                           bool last, Stream stream) {
  plans_.back().push_back(std::move(name));
  const auto done = static_cast<int>(plans_.back().size());
  if (done % kEach != 0 && !last) return op;
  const int plan = static_cast<int>(plans_.size()) - 1;
  return std::make_unique<MarkedOp>(std::move(op), static_cast<int32_t*>(mark_.get()),
                                    plan * kPlan + done, stream);
}

std::string Progress::WhereItStopped() const {
  const int mark = *static_cast<const volatile int32_t*>(mark_.get());
  const auto& names = plans_.at(static_cast<size_t>(mark / kPlan));
  const auto count = names.size();
  const size_t first = static_cast<size_t>(mark % kPlan) % count;  // all done: the next step's
  const size_t last = std::min(first + kEach, count) - 1;
  return first == last ? names[first] : "one of " + names[first] + " … " + names[last];
}

}  // namespace octavo::cuda
