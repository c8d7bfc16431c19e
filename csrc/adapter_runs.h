// Which rows of a step want which adapter.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

namespace octavo {

// Neighbouring rows of sequences with the same adapter.
struct AdapterRun {
  int32_t adapter = 0, first_row = 0, rows = 0;
};

// The runs of so many rows, of whose adapters adapter_of(row) tells; −1: a row has none. A run has
// at most `most` rows.
template <class AdapterOf>
std::vector<AdapterRun> AdapterRuns(int rows, const AdapterOf& adapter_of,
                                    int most = std::numeric_limits<int>::max()) {
  std::vector<AdapterRun> runs;
  for (int row = 0; row < rows; ++row) {
    const int adapter = adapter_of(row);
    if (adapter < 0) continue;
    const bool goes_on = !runs.empty() && runs.back().adapter == adapter &&
                         runs.back().first_row + runs.back().rows == row && runs.back().rows < most;
    if (goes_on)
      ++runs.back().rows;
    else
      runs.push_back({adapter, row, 1});
  }
  return runs;
}

}  // namespace octavo
