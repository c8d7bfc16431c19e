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

  // A step begins: makes room for so many rows, and for the most likely tokens of each as
  // `top_starts` counts them. Returns whether addresses changed.
  bool Begin(int most_samples, int samples, const std::vector<int32_t>& top_starts, Stream stream);
  // Where `sample` writes.
  void Fill(SampleArgs* args) const;
  // What the last step drew.
  const int32_t* ids() const { return ids_.As<int32_t>(); }
  // Starts the copy to the host, for the step that began last.
  void Send(Stream stream);

  // Of the step that began first: whether it is done, and its result once it is.
  bool IsDone() const;
  void Take(StepResult* result);

 private:
  struct Flight {
    int samples = 0;
    bool draws = false;  // else its plan has no `sample`
    std::vector<int32_t> top_starts;
    PinnedPointer host;  // ids, ranks, logprobs; the most likely ids, their logprobs
    size_t words = 0;    // room of `host`
    EventPointer sent;
  };

  Flight& Oldest() { return flights_[static_cast<size_t>(first_)]; }
  Flight& Newest() { return flights_[static_cast<size_t>((first_ + count_ - 1) % kFlights)]; }

  int samples_ = 0, tops_ = 0;       // room on the device
  Buffer ids_, rows_, tops_memory_;  // ids; ranks and logprobs; the most likely ids and logprobs
  std::array<Flight, kFlights> flights_;
  int first_ = 0, count_ = 0;
};

}  // namespace octavo::cuda
