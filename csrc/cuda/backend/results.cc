#include "results.h"

#include <algorithm>

namespace octavo::cuda {
namespace {

constexpr size_t kWord = 4;  // ids, ranks and log-probabilities alike

}  // namespace

bool Results::Reserve(int samples, int tops) {
  constexpr int kLeastTops = 1024;
  if (samples <= samples_ && tops <= tops_) return false;
  samples_ = std::max(samples, samples_);
  tops_ = std::max({tops * 2, tops_, kLeastTops});
  const auto rows = static_cast<size_t>(samples_), likely = static_cast<size_t>(tops_);
  ids_.Reserve(rows * kWord);
  rows_.Reserve(2 * rows * kWord);
  tops_memory_.Reserve(2 * likely * kWord);
  host_ = AllocatePinned((3 * rows + 2 * likely) * kWord);
  return true;
}

void Results::Fill(SampleArgs* args) const {
  args->ids = ids_.As<int32_t>();
  args->ranks = rows_.As<int32_t>();
  args->logprobs = rows_.As<float>() + samples_;
  args->top_ids = tops_memory_.As<int32_t>();
  args->top_logprobs = tops_memory_.As<float>() + tops_;
}

void Results::Send(int samples, int tops, Stream stream) {
  SampleArgs from{};
  Fill(&from);
  auto* to = static_cast<uint8_t*>(host_.get());
  const auto send = [&](const void* part, int count, int room) {
    if (count > 0) CopyToHost(to, part, static_cast<size_t>(count) * kWord, stream);
    to += static_cast<size_t>(room) * kWord;
  };
  send(from.ids, samples, samples_);
  send(from.ranks, samples, samples_);
  send(from.logprobs, samples, samples_);
  send(from.top_ids, tops, tops_);
  send(from.top_logprobs, tops, tops_);
}

void Results::Take(int samples, const std::vector<int32_t>& top_starts, StepResult* result) const {
  const auto* words = static_cast<const int32_t*>(host_.get());
  const auto take = [&](auto* to, int count, int room) {
    using Element = typename std::remove_reference_t<decltype(*to)>::value_type;
    const auto* from = reinterpret_cast<const Element*>(words);
    to->assign(from, from + count);
    words += room;
  };
  take(&result->ids, samples, samples_);
  take(&result->ranks, samples, samples_);
  take(&result->logprobs, samples, samples_);
  take(&result->top_ids, top_starts.back(), tops_);
  take(&result->top_logprobs, top_starts.back(), tops_);
  result->top_starts = top_starts;
}

}  // namespace octavo::cuda
