#include "../backend.h"

#include <cstring>
#include <stdexcept>

#include "coded_values.h"
#include "machine.h"

namespace octavo {
namespace cpu {
namespace {

class CpuBackend : public Backend {
 public:
  explicit CpuBackend(const BackendOptions& options) : machine_(options) {}

  std::string Describe() const override {
    const int threads = machine_.pool.threads();
    return std::string("cpu ") + machine_.kernels->name + ", " + std::to_string(threads) +
           (threads == 1 ? " thread" : " threads");
  }

  void LoadWeight(const Plan& plan, int id, const std::vector<TensorView>& sources) override {
    const Weight& weight = plan.weights.at(static_cast<size_t>(id));
    const std::string key = weight.Key();
    if (machine_.weights.count(key) != 0) return;
    packings_.emplace_back(weight, sources, &machine_.weight_memory);
    machine_.weights[key] = std::make_shared<const PackedWeight>(packings_.back().packed());
  }

  // One loop for many weights: their threads would wait for each other at each one's end.
  void FinishWeights() override {
    PackAll(packings_, &machine_.pool);
    packings_.clear();
  }

  bool TakeWeights(const Plan& plan, const WeightFile& file,
                   const std::function<void()>& check) override {
    auto mapped = MapPackedFile(file, plan, &machine_.pool, check);
    if (!mapped.file) return false;
    machine_.weights.merge(mapped.weights);
    machine_.weight_files.push_back(std::move(mapped.file));
    return true;
  }

  void KeepWeights(const Plan& plan, const WeightFile& file,
                   const std::function<void()>& check) override {
    WritePackedFile(file, plan, machine_.weights, &machine_.pool, check);
  }

  void LoadAdapter(int slot, const Adapter& adapter,
                   const std::vector<std::vector<TensorView>>& sources) override {
    auto& adapters = machine_.adapters;
    if (static_cast<size_t>(slot) >= adapters.size()) adapters.resize(slot + size_t{1});
    PackedAdapter packed(adapter, sources, &machine_.pool);
    machine_.ReserveScratch(static_cast<size_t>(kAdaptedRows) * packed.LargestStack());
    adapters[static_cast<size_t>(slot)] = std::move(packed);
  }

  void AllocateCache(const std::vector<CacheGroup>& groups, int device_blocks) override {
    const BackendOptions& options = machine_.options;
    const auto blocks = static_cast<size_t>(device_blocks) + options.host_blocks;
    CachePool& cache = machine_.cache;
    cache.groups = groups;
    cache.device_blocks = device_blocks;
    cache.block_bytes = BlockBytes(groups, options.block_size);
    cache.memory = Memory(cache.block_bytes * blocks + kPoolSlack, "key/value cache");
  }

  std::vector<std::unique_ptr<CompiledOp>> Compile(const Plan& plan) override {
    if (machine_.arena.size() < plan.arena_bytes) {
      machine_.arena = Memory(plan.arena_bytes, "arena of plan '" + plan.name + "'");
    }
    auto shared = std::make_unique<PlanStep>();
    shared->ropes = plan.ropes;
    shared->angles.resize(plan.ropes.size());
    if (!machine_.options.probed)
      shared->coded = CodedValues(plan, machine_.weights, *machine_.kernels);
    std::vector<std::unique_ptr<CompiledOp>> ops;
    for (const Op& op : plan.ops) {
      try {
        ops.push_back(CompileOp(plan, op, &machine_, shared.get()));
      } catch (const std::exception& error) {
        throw std::runtime_error(op.kind + " \"" + op.label + "\": " + error.what());
      }
    }
    plans_.push_back(std::move(shared));
    return ops;
  }

  void BeginStep(const Plan&, const StepView& step) override {
    if (machine_.arena_use.IsCalm(step.tokens)) machine_.arena.GiveBack();
    PlanStep* shared = plans_.at(static_cast<size_t>(step.plan)).get();
    shared->Begin(step, &machine_.pool);
    machine_.adapts = !shared->adapted_tokens.empty();
  }

  void CopyBlocks(const BlockCopy* copies, int count) override {
    for (const BlockCopy* copy = copies; copy != copies + count; ++copy) {
      std::memcpy(BlockOf(copy->to_tier, copy->to), BlockOf(copy->from_tier, copy->from),
                  machine_.cache.block_bytes);
    }
  }

  void ReadValue(const Value& value, int rows, float* to) override {
    std::memcpy(to, machine_.At(value), sizeof(float) * value.cols * rows);
  }

  void WriteValue(const Value& value, int rows, const float* from) override {
    std::memcpy(machine_.At(value), from, sizeof(float) * value.cols * rows);
  }

 private:
  uint8_t* BlockOf(int tier, int block) const {
    return machine_.cache.Block(tier == 0 ? block : machine_.cache.device_blocks + int64_t{block});
  }

  Machine machine_;
  std::vector<Packing> packings_;                 // of weights that were loaded and not finished
  std::vector<std::unique_ptr<PlanStep>> plans_;  // in the order of Compile
};

}  // namespace
}  // namespace cpu

std::unique_ptr<Backend> MakeCpuBackend(const BackendOptions& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

std::vector<std::string> CpuInstructionSets() { return cpu::InstructionSets(); }

}  // namespace octavo
