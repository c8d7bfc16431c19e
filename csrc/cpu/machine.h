// What the ops of a CPU backend share: threads, kernels, the arena, the cache and, for each step of
// a plan, what is computed once for all layers.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../adapter_runs.h"
#include "../backend.h"
#include "../mapped_file.h"
#include "../op_view.h"
#include "adapters.h"
#include "attention_schedule.h"
#include "input_codes.h"
#include "isa.h"
#include "memory.h"
#include "packed_file.h"
#include "packed_weight.h"
#include "sampler.h"
#include "thread_pool.h"

namespace octavo::cpu {

// The blocks that all cache groups share: those of the device, then those of the host.
struct CachePool {
  std::vector<CacheGroup> groups;
  int device_blocks = 0;
  size_t block_bytes = 0;
  Memory memory;

  uint8_t* Block(int64_t index) const { return memory.data() + index * block_bytes; }
};

// How many rows of the arena steps write to. What a long prompt touched of it is of no use to the
// steps that only decode behind it.
class ArenaUse {
 public:
  // At the beginning of a step: whether the pages that larger ones have touched may go. That is so
  // after some steps of at most a quarter of their rows: touching all again costs a long prompt
  // a percent or two, which each of many in turn should not pay.
  bool IsCalm(int rows) {
    constexpr int kSteps = 16, kShare = 4;
    calm_steps_ = rows * kShare <= rows_ ? calm_steps_ + 1 : 0;
    if (calm_steps_ < kSteps) {
      rows_ = std::max(rows_, rows);
      return false;
    }
    rows_ = rows;
    calm_steps_ = 0;
    return true;
  }

 private:
  int rows_ = 0, calm_steps_ = 0;
};

struct Machine {
  explicit Machine(const BackendOptions& options);

  // Calls body(first, last) for ranges that make up [0, rows), on all threads when the rows of
  // `cols` elements are worth it.
  template <class Body>
  void ForRows(int rows, int cols, const Body& body) {
    constexpr int kElementsPerItem = 8192;  // a few microseconds of simple work
    const int step = std::max(1, kElementsPerItem / std::max(cols, 1));
    pool.ParallelFor((rows + step - 1) / step,
                     [&](int item, int) { body(item * step, std::min(rows, (item + 1) * step)); });
  }

  // Whether so many rows of a value that may lie as codes do: where there are fewer blocks of rows
  // than threads, floats are better shared out, and adapters read floats.
  bool LieAsCodes(int rows) const {
    return !adapts && rows > (pool.threads() - 1) * QuantizedRows::kBlock;
  }

  // Throws std::runtime_error where none was loaded.
  const PackedAdapter& AdapterAt(int slot) const {
    Expect(static_cast<size_t>(slot) < adapters.size(),
           "adapter " + std::to_string(slot) + " is not loaded");
    return adapters[static_cast<size_t>(slot)];
  }

  QuantizedRows CodesAt(const Value& value, int rows, const CodesLayout& layout) const {
    return QuantizedRows::In(arena.data() + value.offset, rows, layout, kernels->planes_of(layout));
  }

  // Calls body(first, last, to), which writes rows [first, last) of a value to `to`, for ranges
  // that make up [0, rows), and keeps these as codes. Wants ReserveBlock(value.cols).
  template <class Body>
  void ForCodedRows(const Value& value, int rows, const CodesLayout& layout, const Body& body) {
    constexpr int kBlock = QuantizedRows::kBlock;
    const QuantizedRows codes = CodesAt(value, rows, layout);
    pool.ParallelFor(RoundUp(rows, kBlock) / kBlock, [&](int block, int worker) {
      const int first = block * kBlock, last = std::min(rows, first + kBlock);
      float* to = scratch[static_cast<size_t>(worker)].data();
      body(first, last, to);
      kernels->quantize_rows(to, codes.From(first), 0, last - first);
    });
  }

  // Makes room in each worker's scratch for a block of rows.
  void ReserveBlock(int cols) { ReserveScratch(static_cast<size_t>(QuantizedRows::kBlock) * cols); }

  // Makes room for so many floats in each worker's scratch.
  void ReserveScratch(size_t floats) {
    for (auto& floats_of_worker : scratch)
      floats_of_worker.resize(std::max(floats_of_worker.size(), floats));
  }

  // Makes room for so many floats of the tiles that attention splits.
  void ReservePartials(size_t floats) {
    if (partials.size() < floats) partials.resize(floats);
  }

  // Makes room for the rounded inputs of a product with so many columns.
  void ReserveRounded(int rows, int cols) {
    const auto count = static_cast<size_t>(rows) * RoundUp(cols, LinearArgs::kPair);
    if (rounded.size() < count) rounded.resize(count);
  }

  float* At(const Value& value) const {
    return reinterpret_cast<float*>(arena.data() + value.offset);
  }

  // The cache of one layer as kernels see it.
  CacheLayer Layer(int group, int layer) const;

  // A sequence's state of one layer, in its block.
  float* State(int group, int layer, int32_t block) const {
    const CacheGroup& states = cache.groups.at(static_cast<size_t>(group));
    return reinterpret_cast<float*>(cache.Block(block)) +
           static_cast<size_t>(layer) * states.elements;
  }

  BackendOptions options;
  const KernelTable* kernels;
  ThreadPool pool;
  Memory arena;
  ArenaUse arena_use;
  Slabs weight_memory;
  std::vector<std::unique_ptr<MappedFile>> weight_files;
  CachePool cache;
  PackedWeights weights;
  std::vector<PackedAdapter> adapters;      // by slot
  bool adapts = false;                      // whether rows of this step have one
  std::vector<std::vector<float>> scratch;  // of each worker
  InputCodes input_codes;
  std::vector<float> rounded;   // room for the rounded inputs of one product
  std::vector<float> partials;  // attention's results by span, of one op
  std::vector<float> shrunk;    // products with the first matrices of adapters, of one op
  std::vector<Sampler> samplers;
};

// What the ops of one plan share, and what BeginStep computes for them.
struct PlanStep {
  struct Angles {
    std::vector<float> cosines, sines;  // [T, dim / 2]
  };
  std::vector<std::shared_ptr<const PackedWeight>> products;  // the matrices of linear, in order
  std::map<int, CodesLayout> coded;                           // see CodedValues
  std::vector<Rope> ropes;
  std::vector<Angles> angles;            // a rope
  std::vector<int32_t> sequence_of_row;  // [T]
  std::vector<AdapterRun> adapted_tokens, adapted_samples;
  // By query heads a kv head, and window.
  std::map<std::pair<int, int>, AttentionSchedule> schedules;
  int kv_heads = 1;  // the fewest of a group, to judge the load

  void Begin(const StepView& step, ThreadPool* pool);
};

inline int RowsOf(const Value& value, const StepView& step) {
  switch (value.rows) {
    case Rows::kTokens: return step.tokens;
    case Rows::kSequences: return step.sequences;
    case Rows::kSamples: return step.samples;
  }
  return 0;
}

// Makes one op ready. Throws std::runtime_error when the op is not supported or contradicts the
// plan.
std::unique_ptr<CompiledOp> CompileOp(const Plan& plan, const Op& op, Machine* machine,
                                      PlanStep* shared);

}  // namespace octavo::cpu
