#include "attention_schedule.h"

#include <algorithm>

#include "kernels.h"

namespace octavo::cpu {
namespace {

int64_t CostOf(const AttentionSchedule::Tile& tile) { return int64_t{tile.rows} * tile.spans; }

}  // namespace

void AttentionSchedule::Build(const StepView& step, int rows_per_tile, int window, int heads,
                              int threads) {
  tiles.clear();
  items.clear();
  partials = 0;
  int64_t total = 0;
  for (int s = 0; s < step.sequences; ++s) {
    const SequenceRow& sequence = step.sequence_rows[s];
    for (int row = 0; row < sequence.row_count; row += rows_per_tile) {
      Tile tile;
      tile.sequence = s;
      tile.first_row = sequence.first_row + row;
      tile.rows = std::min(rows_per_tile, sequence.row_count - row);
      tile.first_limit = sequence.context_length - sequence.row_count + row + 1;
      if (window > 0) tile.first_span = std::max(0, tile.first_limit - window) / kSpan;
      tile.spans = (tile.first_limit + tile.rows - 2) / kSpan + 1 - tile.first_span;
      total += CostOf(tile);
      tiles.push_back(tile);
    }
  }
  std::stable_sort(tiles.begin(), tiles.end(),
                   [](const Tile& a, const Tile& b) { return CostOf(a) > CostOf(b); });
  // A tile that alone is more than a quarter of a thread's share would make the others wait.
  const int64_t share = total * heads / (int64_t{4} * threads);
  std::vector<Item> largest_first;
  for (size_t t = 0; t < tiles.size(); ++t) {
    Tile& tile = tiles[t];
    tile.split = threads > 1 && tile.spans > 1 && CostOf(tile) > share;
    tile.first_partial = partials;
    const int item_count = tile.split ? tile.spans : 1;
    if (tile.split) partials += tile.rows * tile.spans;
    for (int span = 0; span < item_count; ++span)
      largest_first.push_back({static_cast<int>(t), span});
  }
  // Threads begin with a run of neighbouring items each: every run gets as much.
  const auto runs = static_cast<size_t>(threads);
  for (size_t run = 0; run < runs; ++run) {
    for (size_t i = run; i < largest_first.size(); i += runs) items.push_back(largest_first[i]);
  }
}

}  // namespace octavo::cpu
