// Adapters in the device's memory. Every weight that they may change has room for those of all
// slots, taken once and never moved, so that a captured graph serves whichever adapters there are.
#pragma once

#include <map>
#include <vector>

#include "../../adapter.h"
#include "../../step.h"
#include "../kernels/launchers.h"
#include "runtime.h"

namespace octavo::cuda {

// Of one weight. An adapter has at most a part a source of it.
struct AdapterRoom {
  int64_t rows = 0, cols = 0;  // the weight's
  Type type = Type::kFloat32;
  int parts = 0, rank = 0;  // see AdaptArgs, as of the others
  DevicePointer table, a, b;
};

class Adapters {
 public:
  // `rank`: the largest of a part.
  Adapters(int slots, int rank) : slots_(slots), rank_(rank) {}

  // The room of weight `id`, which is taken when it is first asked for; the matrices are of `type`.
  const AdapterRoom& RoomOf(int id, const Weight& weight, Type type, Stream stream);

  // See Backend::LoadAdapter. No step is under way.
  void Load(int slot, const Adapter& adapter, const std::vector<std::vector<TensorView>>& sources,
            Stream stream);

  // Throws std::runtime_error where a sequence names a slot that is not there.
  void CheckSlots(const StepView& step) const;

  int slots() const { return slots_; }

 private:
  void CheckRanks(const Adapter& adapter) const;

  int slots_, rank_;
  std::map<int, AdapterRoom> rooms_;  // by weight
};

}  // namespace octavo::cuda
