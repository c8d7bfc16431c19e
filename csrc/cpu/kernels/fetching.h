// Who asks memory for what, where tiles read the same of a matrix one after the other.
#pragma once

#include "../kernels.h"

namespace octavo::cpu {

// Lines of the cache, `count` of them from the `first` on.
struct Lines {
  int first, count;
};

// What one of so many parts has of so many lines; the last that has any may go beyond them.
inline Lines ShareOf(int lines, int part, int parts) {
  const int share = (lines + parts - 1) / parts;
  const int first = part * share;
  return {first, first < lines ? share : 0};
}

// V::kSharedColumns: up to how many columns a step may have for tiles to share what they ask for,
// as measured; with 0 each tile asks for what it reads.

// Whether a tile asks memory for what it reads though one before it has: all do but those that
// have the most rows, which alone are worth a function more.
template <class V>
static constexpr bool AsksAgain(int rows, int most) {
  return V::kSharedColumns == 0 || rows < most;
}

}  // namespace octavo::cpu
