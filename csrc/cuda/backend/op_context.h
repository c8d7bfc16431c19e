// What the ops of the CUDA backend are made from, and what each file of ops offers.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>

#include "../../op_view.h"
#include "ops.h"

namespace octavo::cuda {

// What most ops are made from.
struct OpContext : OpView {
  Machine* machine;
  PlanState* state;

  // An attribute that nobody reads would change what the op computes.
  void ExpectOnly(std::initializer_list<const char*> known) const {
    for (const auto& [name, value] : op.attributes) {
      const bool found =
          std::any_of(known.begin(), known.end(), [&](const char* other) { return name == other; });
      Expect(found, "the CUDA backend does not support " + name + "=" + value);
    }
  }

  // Everything is computed in one type, except that logits are float32.
  void ExpectActivations() const {
    for (const int input : op.inputs)
      Expect(state->TypeOf(input) == state->type,
             "only `scale` and `sample` may read logits on CUDA");
    Expect(state->TypeOf(op.out) == state->type, "only `linear` may compute logits on CUDA");
  }

  std::shared_ptr<const DeviceWeight> Weight(const char* key) const {
    return FindWeight(machine->weights, key, op.Int(key));
  }
  std::shared_ptr<const DeviceWeight> Matrix(const char* key) const {
    auto weight = Weight(key);
    if (weight->codes.bits != 0) return weight;
    Expect(weight->type == state->type, std::string(key) + " is of " + NameOf(weight->type) +
                                            ", the plan's activations are of " +
                                            NameOf(state->type));
    return weight;
  }
  std::vector<std::shared_ptr<const DeviceWeight>> Weights(const char* key) const {
    std::vector<std::shared_ptr<const DeviceWeight>> weights;
    for (const int id : op.Ints(key)) weights.push_back(FindWeight(machine->weights, key, id));
    return weights;
  }
  std::shared_ptr<const DeviceWeight> OptionalVector(const char* key, int length) const {
    if (!op.Has(key)) return nullptr;
    auto weight = Weight(key);
    Expect(weight->rows == length, std::string(key) + " has another length");
    return weight;
  }

  int Group() const {
    const int group = op.Int("group");
    Expect(group >= 0 && static_cast<size_t>(group) < machine->cache.groups.size(),
           "there is no cache group " + std::to_string(group));
    return group;
  }
  CacheView Cache() const {
    const CacheView cache = machine->Layer(Group(), op.Int("layer"));
    Expect(cache.kv_heads == op.Int("kvHeads") && cache.key_dim == op.Int("headDim"),
           "kvHeads or headDim are not the cache group's");
    if (cache.latent) {
      Expect(FitsLatentAttention(cache),
             "headDim " + std::to_string(cache.key_dim) +
                 ": the CUDA backend supports latent rows of up to 576 columns");
      return cache;
    }
    Expect(cache.key_dim % 8 == 0 && cache.key_dim <= 256,
           "headDim " + std::to_string(cache.key_dim) +
               ": the CUDA backend supports multiples of 8 up to 256");
    return cache;
  }
};

inline const float* VectorOf(const std::shared_ptr<const DeviceWeight>& weight) {
  return weight == nullptr ? nullptr : static_cast<const float*>(weight->memory.get());
}

// The ops that write and read the cache.
std::unique_ptr<DeviceOp> MakeRopeStoreKv(const OpContext& context);
std::unique_ptr<DeviceOp> MakePagedAttention(const OpContext& context);
std::unique_ptr<DeviceOp> MakeStoreLatent(const OpContext& context);

std::unique_ptr<DeviceOp> MakeAdapt(const OpContext& context);
std::unique_ptr<DeviceOp> MakeExpertOp(const OpContext& context);
std::unique_ptr<DeviceOp> MakeShortConv(const OpContext& context);
std::unique_ptr<DeviceOp> MakePool(const OpContext& context);

}  // namespace octavo::cuda
