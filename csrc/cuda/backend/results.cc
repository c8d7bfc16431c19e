#include "results.h"

#include <algorithm>

namespace octavo::cuda {
namespace {

constexpr size_t kWord = 4;  // ids, ranks and log-probabilities alike

}  // namespace

bool Results::Begin(const Sizes& sizes, Stream stream) {
  constexpr int kLeastTops = 1024;
  const int tops = sizes.top_starts.back();
  const size_t pooled_bytes = static_cast<size_t>(sizes.pooled) * kWord;
  const bool grows = sizes.most_samples > samples_ || tops > tops_ || pooled_bytes > pooled_.bytes;
  if (grows) {
    Wait(stream);  // a step in flight may write there
    pooled_.Reserve(pooled_bytes);
    samples_ = std::max(sizes.most_samples, samples_);
    if (tops > tops_) tops_ = std::max(tops * 2, kLeastTops);
    const auto rows = static_cast<size_t>(samples_), likely = static_cast<size_t>(tops_);
    ids_.Reserve(rows * kWord);
    rows_.Reserve(2 * rows * kWord);
    tops_memory_.Reserve(2 * likely * kWord);
  }
  ++count_;
  Flight& flight = Newest();
  flight.samples = sizes.samples;
  flight.pooled = sizes.pooled;
  flight.draws = flight.pools = false;
  flight.top_starts = sizes.top_starts;
  const auto words = static_cast<size_t>(flight.DrawnWords() + sizes.pooled);
  if (flight.host == nullptr || words > flight.words) {
    flight.words = std::max<size_t>(2 * words, kLeastTops);
    flight.host = AllocatePinned(flight.words * kWord);
  }
  if (flight.sent == nullptr) flight.sent = CreateEvent();
  return grows;
}

void Results::Fill(SampleArgs* args) const {
  args->ids = ids_.As<int32_t>();
  args->ranks = rows_.As<int32_t>();
  args->logprobs = rows_.As<float>() + samples_;
  args->top_ids = tops_memory_.As<int32_t>();
  args->top_logprobs = tops_memory_.As<float>() + tops_;
}

void Results::Send(Stream stream) {
  SampleArgs from{};
  Fill(&from);
  Flight& flight = Newest();
  flight.draws = true;
  auto* to = static_cast<uint8_t*>(flight.host.get());
  const auto send = [&](const void* part, int count) {
    const size_t bytes = static_cast<size_t>(count) * kWord;
    if (bytes > 0) CopyToHost(to, part, bytes, stream);
    to += bytes;
  };
  send(from.ids, flight.samples);
  send(from.ranks, flight.samples);
  send(from.logprobs, flight.samples);
  send(from.top_ids, flight.top_starts.back());
  send(from.top_logprobs, flight.top_starts.back());
  Record(flight.sent.get(), stream);
}

void Results::SendPooled(Stream stream) {
  Flight& flight = Newest();
  flight.pools = true;
  auto* to = static_cast<int32_t*>(flight.host.get()) + flight.DrawnWords();
  CopyToHost(to, pooled(), static_cast<size_t>(flight.pooled) * kWord, stream);
  Record(flight.sent.get(), stream);
}

bool Results::IsDone() const {
  const Flight& oldest = flights_[static_cast<size_t>(first_)];
  return !(oldest.draws || oldest.pools) || IsReached(oldest.sent.get());
}

void Results::Take(StepResult* result) {
  Flight& flight = Oldest();
  first_ = (first_ + 1) % kFlights;
  --count_;
  if (!flight.draws && !flight.pools) return;
  WaitOnHost(flight.sent.get());
  if (flight.pools) {
    const auto* from = static_cast<const float*>(flight.host.get()) + flight.DrawnWords();
    result->pooled.assign(from, from + flight.pooled);
  }
  if (!flight.draws) return;
  const auto* words = static_cast<const int32_t*>(flight.host.get());
  const auto take = [&](auto* to, int count) {
    using Element = typename std::remove_reference_t<decltype(*to)>::value_type;
    const auto* from = reinterpret_cast<const Element*>(words);
    to->assign(from, from + count);
    words += count;
  };
  take(&result->ids, flight.samples);
  take(&result->ranks, flight.samples);
  take(&result->logprobs, flight.samples);
  take(&result->top_ids, flight.top_starts.back());
  take(&result->top_logprobs, flight.top_starts.back());
  result->top_starts = std::move(flight.top_starts);
}

}  // namespace octavo::cuda
