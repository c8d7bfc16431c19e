// The adapters of a CPU backend, packed.
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

}  // namespace octavo::cpu
