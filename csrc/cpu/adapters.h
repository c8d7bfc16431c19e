// The adapters of a CPU backend, packed.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "../adapter.h"
#include "packed_weight.h"

namespace octavo::cpu {

// One part as kernels read it: what is shrunk by rows [shrunk_first, shrunk_first + columns of b)
// of the stack that it belongs to.
struct PackedPart {
  int shrunk_first = 0;
  int first = 0;
  float scale = 1;
  PackedWeight b;
};

// Parts of one weight whose first matrices lie in one, side by side: a panel holds those of several
// parts of a small rank.
struct PackedStack {
  PackedWeight a;
  std::vector<PackedPart> parts;
};

// The parts of one adapter, by the weight of the plan that they change.
class PackedAdapter {
 public:
  PackedAdapter() = default;  // changes nothing
  // `sources` are those of each of its weights. Throws std::runtime_error when they do not fill the
  // weights or there is not enough memory.
  PackedAdapter(const Adapter& adapter, const std::vector<std::vector<TensorView>>& sources,
                ThreadPool* pool);

  const std::vector<PackedStack>& StacksOf(int weight) const;
  // The rows of its largest first matrix.
  int LargestStack() const;

 private:
  std::unique_ptr<Slabs> memory_;
  std::map<int, std::vector<PackedStack>> stacks_;
};

// So many rows are adapted together: their inputs stay in the caches.
constexpr int kAdaptedRows = 48;

}  // namespace octavo::cpu
