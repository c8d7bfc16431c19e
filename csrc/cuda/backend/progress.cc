#include "progress.h"

#include <algorithm>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace octavo::cuda {
namespace {

std::mutex mutex;  // of the list and of all names
std::vector<const Progress*> all;

}  // namespace

Progress::Progress() : names_{"no kernel"}, word_(AllocatePinned(sizeof(int32_t))) {
  Rest();
  const std::lock_guard<std::mutex> lock(mutex);
  all.push_back(this);
}

Progress::~Progress() {
  const std::lock_guard<std::mutex> lock(mutex);
  all.erase(std::find(all.begin(), all.end(), this));
}

Mark Progress::MarkOf(std::string name) {
  const std::lock_guard<std::mutex> lock(mutex);
  names_.push_back(std::move(name));
  return {static_cast<int32_t*>(word_.get()), static_cast<int32_t>(names_.size()) - 1};
}

void Progress::Rest() { *static_cast<volatile int32_t*>(word_.get()) = 0; }

std::string Progress::Last() const {
  const int32_t last = *static_cast<const volatile int32_t*>(word_.get());
  return last == 0 ? "" : names_.at(static_cast<size_t>(last));
}

// A failure is every engine's: which one's kernel it was, only these names tell.
std::string Progress::WhoFailed() const {
  const std::lock_guard<std::mutex> lock(mutex);
  std::string who = Last();
  for (const Progress* other : all) {
    const std::string last = other == this ? "" : other->Last();
    if (!last.empty()) who += (who.empty() ? "" : ", or ") + ("another engine's " + last);
  }
  return who;
}

void Progress::Watch(Stream stream, const std::function<void()>& body) const {
  try {
    body();
  } catch (const std::exception&) {
    const std::string why = WhyFailed(stream);
    if (why.empty()) throw;
    const std::string who = WhoFailed();
    throw std::runtime_error((who.empty() ? "a kernel" : "a kernel of " + who) + " failed: " + why);
  }
}

}  // namespace octavo::cuda
