// The adapters of a CPU backend, packed, and which rows of a step want them.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "../adapter.h"
#include "packed_weight.h"

namespace octavo::cpu {

// One part as kernels read it.
struct PackedPart {
  int first = 0;
  float scale = 1;
  PackedWeight a, b;
};

// The parts of one adapter, by the weight of the plan that they change.
class PackedAdapter {
 public:
  PackedAdapter() = default;  // changes nothing
  // `sources` are those of each of its weights. Throws std::runtime_error when they do not fill the
  // weights or there is not enough memory.
  PackedAdapter(const Adapter& adapter, const std::vector<std::vector<TensorView>>& sources,
                ThreadPool* pool);

  const std::vector<PackedPart>& PartsOf(int weight) const;

 private:
  std::unique_ptr<Slabs> memory_;
  std::map<int, std::vector<PackedPart>> parts_;
};

// Neighbouring rows of sequences with the same adapter.
struct AdapterRun {
  int adapter = 0, first_row = 0, rows = 0;
};

// The runs of so many rows, of whose adapters adapter_of(row) tells; −1: a row has none.
template <class AdapterOf>
std::vector<AdapterRun> AdapterRuns(int rows, const AdapterOf& adapter_of) {
  std::vector<AdapterRun> runs;
  for (int row = 0; row < rows; ++row) {
    const int adapter = adapter_of(row);
    if (adapter < 0) continue;
    const bool goes_on = !runs.empty() && runs.back().adapter == adapter &&
                         runs.back().first_row + runs.back().rows == row;
    if (goes_on)
      ++runs.back().rows;
    else
      runs.push_back({adapter, row, 1});
  }
  return runs;
}

}  // namespace octavo::cpu
