#include "results.h"

#include <algorithm>

namespace octavo::cuda {
namespace {

constexpr size_t kWord = 4;  // ids, ranks and log-probabilities alike

}  // namespace

bool Results::Begin(int most_samples, int samples, const std::vector<int32_t>& top_starts,
                    Stream stream) {
  constexpr int kLeastTops = 1024;
  const int tops = top_starts.back();
  const bool grows = most_samples > samples_ || tops > tops_;
  if (grows) {
    Wait(stream);  // a step in flight may write there
    samples_ = std::max(most_samples, samples_);
    if (tops > tops_) tops_ = std::max(tops * 2, kLeastTops);
    const auto rows = static_cast<size_t>(samples_), likely = static_cast<size_t>(tops_);
    ids_.Reserve(rows * kWord);
    rows_.Reserve(2 * rows * kWord);
    tops_memory_.Reserve(2 * likely * kWord);
  }
  ++count_;
  Flight& flight = Newest();
  flight.samples = samples;
  flight.draws = false;
  flight.top_starts = top_starts;
  const auto words = static_cast<size_t>(3 * samples + 2 * tops);
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

bool Results::IsDone() const {
  const Flight& oldest = flights_[static_cast<size_t>(first_)];
  return !oldest.draws || IsReached(oldest.sent.get());
}

void Results::Take(StepResult* result) {
  Flight& flight = Oldest();
  first_ = (first_ + 1) % kFlights;
  --count_;
  if (!flight.draws) return;
  WaitOnHost(flight.sent.get());
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
