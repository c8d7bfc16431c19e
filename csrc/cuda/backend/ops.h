// The ops of a plan made ready for CUDA.
#pragma once

#include <memory>
#include <set>

#include "machine.h"

namespace octavo::cuda {

// What the ops of one plan share.
struct PlanState {
  Type type = Type::kFloat32;  // of activations: that of the plan's matrices
  std::set<int> logits;    // float32: values from `linear` to `sample`, routes and what they are of
  size_t tile_floats = 0;  // the most that an op keeps of a tile between spans
  int tile_rows = 0;       // token rows of an attention tile; 0: no op works by tiles
  struct Angles {
    DevicePointer frequencies, long_frequencies;
    Buffer cosines, sines;  // [T, dim / 2]
  };
  std::vector<Angles> angles;  // a rope

  Type TypeOf(int value) const { return logits.count(value) != 0 ? Type::kFloat32 : type; }
};

// One kernel launch of a plan. Fetching results is not its business: it may be captured in a graph.
class DeviceOp {
 public:
  virtual ~DeviceOp() = default;
  virtual void Launch(Stream stream) = 0;
};

// Reads the attributes and weights of an op. Throws std::runtime_error where the op, an attribute,
// a type or a shape is not supported on CUDA or contradicts the plan.
std::unique_ptr<DeviceOp> MakeDeviceOp(const Plan& plan, const Op& op, Machine* machine,
                                       PlanState* state);

}  // namespace octavo::cuda
