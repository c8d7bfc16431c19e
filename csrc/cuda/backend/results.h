// What steps draw, on the device and on its way to the host. Several steps may be in flight: what a
// step drew stays on the device until the next one draws, and its copy on the host until it is
// taken.
#pragma once

#include <array>
#include <vector>

#include "../../step.h"
#include "../kernels/launchers.h"
#include "buffer.h"

namespace octavo::cuda {

class Results {
 public:
  static constexpr int kFlights = 2;

  // What a step gives: rows that are drawn (and the most of any step), the most likely tokens of
  // each as `top_starts` counts them, and numbers that are pooled.
  struct Sizes {
    int most_samples, samples, pooled;
    const std::vector<int32_t>& top_starts;
  };
  // A step begins: makes room. Returns whether addresses changed.
  bool Begin(const Sizes& sizes, Stream stream);
  // Where `sample` writes.
  void Fill(SampleArgs* args) const;
  // What the last step drew.
  const int32_t* ids() const { return ids_.As<int32_t>(); }
  // Where `pool` writes.
  float* pooled() const { return pooled_.As<float>(); }
  // Start the copies to the host, of what was drawn and of what was pooled, for the step that began
  // last.
  void Send(Stream stream);
  void SendPooled(Stream stream);

  // Of the step that began first: whether it is done, and its result once it is.
  bool IsDone() const;
  void Take(StepResult* result);

 private:
  struct Flight {
    int samples = 0, pooled = 0;
    bool draws = false, pools = false;  // what was sent
    std::vector<int32_t> top_starts;
    PinnedPointer host;  // ids, ranks, logprobs; the most likely ids, their logprobs; pooled
    size_t words = 0;    // room of `host`
    EventPointer sent;

    int DrawnWords() const { return 3 * samples + 2 * top_starts.back(); }
  };

  Flight& Oldest() { return flights_[static_cast<size_t>(first_)]; }
  Flight& Newest() { return flights_[static_cast<size_t>((first_ + count_ - 1) % kFlights)]; }

  int samples_ = 0, tops_ = 0;  // room on the device
  Buffer pooled_;
  Buffer ids_, rows_, tops_memory_;  // ids; ranks and logprobs; the most likely ids and logprobs
  std::array<Flight, kFlights> flights_;
  int first_ = 0, count_ = 0;
};

}  // namespace octavo::cuda
