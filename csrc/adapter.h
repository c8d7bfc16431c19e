// An adapter (LoRA) as native code sees it: the parsed text form (docs/plan-format.md).
#pragma once

#include <string>
#include <vector>

#include "plan.h"

namespace octavo {

// Adds scale × (input × aᵀ) × bᵀ to columns [first, first + rows of b) of what a weight of the
// model's plan gives.
struct AdapterPart {
  int weight = 0;  // of the plan
  int first = 0;
  float scale = 1;
  int a = 0, b = 0;  // weights of the adapter: [rank, columns], [rows, rank]
};

struct Adapter {
  std::vector<Weight> weights;
  std::vector<AdapterPart> parts;

  // Throws std::runtime_error naming the line and what was expected.
  static Adapter Parse(const std::string& text);
  int LargestRank() const;
  // Throws std::runtime_error naming the part that does not fit the plan's weights.
  void CheckFor(const Plan& plan) const;

 private:
  // Whether both change a row of one weight.
  bool Meet(const AdapterPart& one, const AdapterPart& other) const;
};

}  // namespace octavo
