// How the attention of a step is cut into items of work. All layers of a step share it. Cutting is
// free to follow the load: a query's result is the same, bit for bit, however it is computed.
#pragma once

#include <vector>

#include "../step.h"

namespace octavo::cpu {

struct AttentionSchedule {
  // Neighbouring token rows of one sequence.
  struct Tile {
    int sequence = 0, first_row = 0, rows = 0;
    int first_limit = 0;            // tokens that the first row attends to; each next row one more
    int first_span = 0, spans = 0;  // from the first that a row sees to the last
    int first_partial = 0;          // rows × spans of those before it that are split
    bool split = false;             // one item a span; else one item
  };
  struct Item {
    int tile = 0;
    int span = 0;  // of a split tile: first_span + this
  };

  std::vector<Tile> tiles;
  std::vector<Item> items;  // a run for each thread, the largest first
  int partials = 0;         // rows × spans of the tiles that are split

  // `heads` items of equal size will be made of each of ours. A row sees `window` tokens, 0: all.
  void Build(const StepView& step, int rows_per_tile, int window, int heads, int threads);
};

}  // namespace octavo::cpu
