#include "progress.h"

#include <stdexcept>
#include <utility>

namespace octavo::cuda {

Progress::Progress() : names_{"no kernel yet"}, word_(AllocatePinned(sizeof(int32_t))) {
  *static_cast<int32_t*>(word_.get()) = 0;
}

Mark Progress::MarkOf(std::string name) {
  names_.push_back(std::move(name));
  return {static_cast<int32_t*>(word_.get()), static_cast<int32_t>(names_.size()) - 1};
}

void Progress::Watch(Stream stream, const std::function<void()>& body) const {
  try {
    body();
  } catch (const std::exception&) {
    const std::string why = WhyFailed(stream);
    if (why.empty()) throw;
    const int32_t last = *static_cast<const volatile int32_t*>(word_.get());
    throw std::runtime_error("a kernel of " + names_.at(static_cast<size_t>(last)) +
                             " failed: " + why);
  }
}

}  // namespace octavo::cuda
