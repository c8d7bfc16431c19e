// What the ops of the CPU backend are made from, and what each file of ops offers.
#pragma once

#include <stdexcept>
#include <string>

#include "machine.h"

namespace octavo::cpu {

struct OpContext {
  const Plan& plan;
  const Op& op;
  Machine* machine;
  PlanStep* shared;

  const Value& Input(size_t index) const {
    if (index >= op.inputs.size()) throw std::runtime_error("expected more inputs");
    return plan.values.at(static_cast<size_t>(op.inputs[index]));
  }
  const Value& Out() const { return plan.values.at(static_cast<size_t>(op.out)); }

  std::shared_ptr<const PackedWeight> Weight(const char* key) const {
    return WeightOf(key, op.Int(key));
  }
  std::shared_ptr<const PackedWeight> OptionalWeight(const char* key) const {
    return op.Has(key) ? Weight(key) : nullptr;
  }
  std::vector<std::shared_ptr<const PackedWeight>> Weights(const char* key) const {
    std::vector<std::shared_ptr<const PackedWeight>> weights;
    for (const int id : op.Ints(key)) weights.push_back(WeightOf(key, id));
    return weights;
  }

  // The number of a cache group that keeps tokens.
  int Group() const {
    const int group = op.Int("group");
    if (CacheOf(group).IsState()) {
      throw std::runtime_error("cache group " + std::to_string(group) + " keeps no tokens");
    }
    return group;
  }
  const CacheGroup& CacheOf(int group) const {
    const auto& groups = machine->cache.groups;
    if (group < 0 || static_cast<size_t>(group) >= groups.size()) {
      throw std::runtime_error("there is no cache group " + std::to_string(group));
    }
    return groups[static_cast<size_t>(group)];
  }

 private:
  std::shared_ptr<const PackedWeight> WeightOf(const char* key, int id) const {
    const auto found = machine->weights.find(KeyOf(plan.weights.at(static_cast<size_t>(id))));
    if (found == machine->weights.end()) {
      throw std::runtime_error(std::string(key) + " " + std::to_string(id) + " is not loaded");
    }
    return found->second;
  }
};

inline void Expect(bool condition, const char* message) {
  if (!condition) throw std::runtime_error(message);
}

inline const float* VectorOf(const std::shared_ptr<const PackedWeight>& weight) {
  return weight == nullptr ? nullptr : weight->Vector();
}

// Whether a norm subtracts the mean.
inline bool ReadNormKind(const Op& op) {
  const std::string& kind = op.Text("norm");
  Expect(kind == "rms" || kind == "layer", "norm is neither 'rms' nor 'layer'");
  return kind == "layer";
}

// The ops that write and read the cache.
std::unique_ptr<CompiledOp> MakeRopeStoreKv(const OpContext& context);
std::unique_ptr<CompiledOp> MakePagedAttention(const OpContext& context);

// Ops of mixtures of experts; null for every other kind.
std::unique_ptr<CompiledOp> CompileExpertOp(const OpContext& context);

// Writes the latent rows of a cache, and makes queries for them.
std::unique_ptr<CompiledOp> MakeStoreLatent(const OpContext& context);
std::unique_ptr<CompiledOp> MakeShortConv(const OpContext& context);

}  // namespace octavo::cpu
