// What octavo-replay compares: what a step gave with what was recorded.
#pragma once

#include "executor.h"
#include "recording.h"

namespace octavo {

struct Closeness {
  double logprobs = 1e-4;  // 0 compares bits
  // Tokens may differ where each side's is among the other's most likely ones, and ranks and most
  // likely tokens are not compared: for activations of 16 bits.
  bool near_ties = false;
};

// Throws std::runtime_error naming the step and the first number that differs too much.
void Compare(const PackedResult& found, const PackedResult& expected, const Closeness& closeness);

// Likewise, of the values that were read.
void CompareValues(const RecordedProbe& probe, const Probe& found);

}  // namespace octavo
