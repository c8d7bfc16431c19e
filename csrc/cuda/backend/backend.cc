#include "backend.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "../../system.h"
#include "block_moves.h"
#include "ops.h"
#include "step_graphs.h"
#include "weight_loader.h"

namespace octavo {
namespace cuda {
namespace {

struct NamedOp {
  std::string name;
  Mark mark;
  std::shared_ptr<DeviceOp> op;
};

// One op of a step that runs as it is submitted. Where the step is a graph, BeginStep has submitted
// it whole and there is nothing left to do.
class EagerOp : public CompiledOp {
 public:
  EagerOp(NamedOp op, const bool* submitted, Machine* machine)
      : op_(std::move(op)), submitted_(submitted), machine_(machine) {}

  void Run(const StepView&, StepResult*) override {
    const Stream stream(machine_->stream.get(), op_.mark);
    machine_->progress.Watch(stream, [&] {
      if (!*submitted_) op_.op->Launch(stream);
      if (machine_->checks_ops) Wait(stream);
    });
  }

 protected:
  bool submitted() const { return *submitted_; }

 private:
  NamedOp op_;
  const bool* submitted_;

 protected:
  Machine* machine_;
};

// `sample` ends a step: it begins to bring what was drawn to the host.
class SampleAndFetch : public EagerOp {
 public:
  using EagerOp::EagerOp;
  void Run(const StepView& step, StepResult* result) override {
    if (!submitted()) machine_->masks.Send(step, machine_->stream.get());
    EagerOp::Run(step, result);
    machine_->results.Send(machine_->stream.get());
  }
};

// Likewise what `pool` added up, of a step that pools.
class PoolAndFetch : public EagerOp {
 public:
  using EagerOp::EagerOp;
  void Run(const StepView& step, StepResult* result) override {
    EagerOp::Run(step, result);
    if (step.pools > 0) machine_->results.SendPooled(machine_->stream.get());
  }
};

// The type of the plan's matrices, which is that of its activations. Where all of them are codes,
// it is the cache's, or bfloat16 where that has 8 bits.
Type ActivationType(const Plan& plan) {
  for (const Weight& weight : plan.weights)
    if (weight.matrix && !weight.quantization) return weight.type;
  for (const CacheGroup& group : plan.caches) {
    if (group.type == CacheType::kFloat32 && !group.IsState()) return Type::kFloat32;
    if (group.type == CacheType::kFloat16) return Type::kFloat16;
  }
  return Type::kBFloat16;
}

struct LoadedPlan {
  PlanState state;
  std::vector<NamedOp> ops;
  Mark angles;
  StepGraphs graphs;
  int max_rows = 0;  // of a step in which every row is a sequence and a sample
};

class CudaBackend : public Backend {
 public:
  explicit CudaBackend(const BackendOptions& options)
      : machine_(options), loader_(options.threads > 0 ? options.threads : AvailableCpus()) {}
  // Nothing may be freed that a copy or kernel under way still uses.
  ~CudaBackend() override { Drain(machine_.stream.get()); }

  std::string Describe() const override {
    const auto& cublas = machine_.cublas;
    return "cuda " + machine_.info.name +
           (cublas == nullptr ? "" : ", cuBLASLt " + cublas->Version());
  }

  void LoadWeight(const Plan& plan, int id, const std::vector<TensorView>& sources) override {
    UseDevice();
    const Weight& weight = plan.weights.at(static_cast<size_t>(id));
    auto& loaded = machine_.weights[weight.Key()];
    if (loaded == nullptr) loaded = loader_.Load(weight, sources, machine_.stream.get());
  }

  void LoadAdapter(int slot, const Adapter& adapter,
                   const std::vector<std::vector<TensorView>>& sources) override {
    UseDevice();
    machine_.adapters.Load(slot, adapter, sources, machine_.stream.get());
  }

  void AllocateCache(const std::vector<CacheGroup>& groups, int device_blocks) override {
    UseDevice();
    ClearGraphs();  // which have the addresses of the pool before
    CachePool& cache = machine_.cache;
    cache.groups = groups;
    cache.block_bytes = BlockBytes(groups, options().block_size);
    if (cache.block_bytes % 16 != 0)
      throw std::runtime_error("a cache block of " + std::to_string(cache.block_bytes) +
                               " bytes; CUDA copies multiples of 16");
    const size_t bytes = cache.block_bytes * static_cast<size_t>(device_blocks);
    cache.device.reset();
    cache.device = AllocateDevice(bytes);
    Clear(cache.device.get(), bytes, machine_.stream.get());
    if (options().host_blocks > 0 && cache.host == nullptr)
      cache.host = AllocatePinned(cache.block_bytes * options().host_blocks);
    cuda::Wait(machine_.stream.get());
  }

  DeviceMemory MemoryNow() const override {
    UseDevice();
    return QueryCudaMemory();
  }

  std::vector<std::unique_ptr<CompiledOp>> Compile(const Plan& plan) override {
    UseDevice();
    cuda::Wait(machine_.stream.get());  // weights have come; what grows now is not in use
    loader_.Release();
    auto loaded = std::make_unique<LoadedPlan>();
    Prepare(plan, &loaded->state);
    std::vector<std::unique_ptr<CompiledOp>> ops;
    loaded->angles = machine_.progress.MarkOf("rotary angles");
    for (const Op& op : plan.ops) {
      try {
        const std::string name = op.kind + " \"" + op.label + '"';
        const NamedOp made{name, machine_.progress.MarkOf(name),
                           MakeDeviceOp(plan, op, &machine_, &loaded->state)};
        loaded->ops.push_back(made);
        if (op.kind == "pool")
          ops.push_back(std::make_unique<PoolAndFetch>(made, &submitted_, &machine_));
        else if (op.kind == "sample")
          ops.push_back(std::make_unique<SampleAndFetch>(made, &submitted_, &machine_));
        else
          ops.push_back(std::make_unique<EagerOp>(made, &submitted_, &machine_));
      } catch (const std::exception& error) {
        throw std::runtime_error(op.kind + " \"" + op.label + "\": " + error.what());
      }
    }
    loaded->max_rows = std::min({plan.max_tokens, plan.max_sequences, plan.max_samples});
    plans_.push_back(std::move(loaded));
    ClearGraphs();
    return ops;
  }

  void BeginStep(const Plan& plan, const StepView& step) override {
    UseDevice();
    machine_.progress.Watch(machine_.stream.get(), [&] { Begin(plan, step); });
  }

  void CopyBlocks(const BlockCopy* copies, int count) override {
    if (count == 0) return;
    UseDevice();
    const Stream stream(machine_.stream.get(), copies_);
    machine_.progress.Watch(stream, [&] { moves_.Run(copies, count, machine_.cache, stream); });
  }

  int Depth() const override { return Results::kFlights; }

  void Finish(StepResult* result) override {
    UseDevice();
    const Stream stream = machine_.stream.get();
    machine_.progress.Watch(stream, [&] { machine_.results.Take(result); });
    if (IsIdle(stream)) machine_.progress.Rest();
  }

  bool IsDone() override { return machine_.results.IsDone(); }

  void Wait() override {
    UseDevice();
    cuda::Wait(machine_.stream.get());
  }

  void ReadValue(const Value& value, int rows, float* to) override {
    const size_t count = static_cast<size_t>(rows) * value.cols;
    const Type type = TypeOf(value);
    std::vector<uint8_t> raw(count * SizeOf(type));
    CopyToHost(raw.data(), machine_.At(value), raw.size(), machine_.stream.get());
    cuda::Wait(machine_.stream.get());
    ConvertElements(raw.data(), type, count, Type::kFloat32, to);
  }

  void WriteValue(const Value& value, int rows, const float* from) override {
    const size_t count = static_cast<size_t>(rows) * value.cols;
    const Type type = TypeOf(value);
    std::vector<uint8_t> raw(count * SizeOf(type));
    ConvertElements(from, Type::kFloat32, count, type, raw.data());
    CopyToDevice(machine_.At(value), raw.data(), raw.size(), machine_.stream.get());
    cuda::Wait(machine_.stream.get());
  }

 private:
  const BackendOptions& options() const { return machine_.options; }

  void Prepare(const Plan& plan, PlanState* state) {
    state->type = ActivationType(plan);
    for (auto op = plan.ops.rbegin(); op != plan.ops.rend(); ++op) {
      if (op->kind == "route") state->logits.insert({op->inputs.at(0), op->out});
      const bool caps_logits = op->kind == "scale" && state->logits.count(op->out) != 0;
      if (op->kind == "sample" || caps_logits) state->logits.insert(op->inputs.at(0));
    }
    machine_.arena.Reserve(plan.arena_bytes);
    for (const Rope& rope : plan.ropes) {
      PlanState::Angles angles;
      const size_t bytes = rope.inv_freq.size() * sizeof(float);
      angles.frequencies = AllocateDevice(bytes);
      CopyToDevice(angles.frequencies.get(), rope.inv_freq.data(), bytes, machine_.stream.get());
      if (!rope.long_inv_freq.empty()) {
        angles.long_frequencies = AllocateDevice(bytes);
        CopyToDevice(angles.long_frequencies.get(), rope.long_inv_freq.data(), bytes,
                     machine_.stream.get());
      }
      angles.cosines.Reserve(bytes * static_cast<size_t>(plan.max_tokens));
      angles.sines.Reserve(bytes * static_cast<size_t>(plan.max_tokens));
      state->angles.push_back(std::move(angles));
    }
    cuda::Wait(machine_.stream.get());
    latest_ = state;
    values_ = plan.values;
  }

  void Begin(const Plan& plan, const StepView& step) {
    LoadedPlan& loaded = *plans_.at(static_cast<size_t>(step.plan));
    machine_.adapters.CheckSlots(step);
    const Stream stream = machine_.stream.get();
    const bool moved = machine_.upload.Send(
        step, {loaded.state.tile_rows, options().batch_invariant}, plan.vocab_size, stream);
    const int pooled = step.pools * plan.PooledColumns();
    const bool grown = machine_.results.Begin(
        {plan.max_samples, step.samples, pooled, machine_.upload.top_starts()}, stream);
    if (moved || grown) ClearGraphs();
    // The masks of a graph's step could not come before it is submitted.
    const bool whole =
        options().graphs && !machine_.checks_ops && !MaskRows::Wants(step) && step.pools == 0;
    const int bucket = whole ? StepGraphs::BucketOf(step, loaded.max_rows) : 0;
    submitted_ = bucket > 0;
    SetRows(step, bucket);
    if (submitted_)
      loaded.graphs.Run(bucket, machine_.rows.adapted_tokens > 0, stream,
                        [&] { LaunchAll(plan, &loaded); });
    else
      RunAngles(plan, &loaded);
  }

  void RunAngles(const Plan& plan, LoadedPlan* loaded) {
    const Stream stream(machine_.stream.get(), loaded->angles);
    for (size_t r = 0; r < plan.ropes.size(); ++r) {
      const Rope& rope = plan.ropes[r];
      const PlanState::Angles& angles = loaded->state.angles[r];
      RotaryAngles({machine_.upload.device(), static_cast<const float*>(angles.frequencies.get()),
                    machine_.rows.tokens, static_cast<int>(rope.inv_freq.size()), rope.scale,
                    rope.dynamic, rope.base, rope.factor, rope.original,
                    static_cast<const float*>(angles.long_frequencies.get()), rope.long_from,
                    angles.cosines.As<float>(), angles.sines.As<float>()},
                   stream);
    }
  }

  void LaunchAll(const Plan& plan, LoadedPlan* loaded) {
    RunAngles(plan, loaded);
    for (const NamedOp& named : loaded->ops) {
      try {
        named.op->Launch({machine_.stream.get(), named.mark});
      } catch (const std::exception& error) {
        throw std::runtime_error(named.name + ": " + error.what());
      }
    }
  }

  void ClearGraphs() {
    cuda::Wait(machine_.stream.get());  // one of them may be under way
    for (const auto& loaded : plans_) loaded->graphs.Clear();
  }

  void SetRows(const StepView& step, int bucket) {
    const DeviceStep& sent = machine_.upload.host();
    const int adapted = sent.adapted_tokens.count > 0 ? bucket : 0;  // any row may have an adapter
    if (bucket > 0)
      machine_.rows = {bucket, bucket, bucket, 0, bucket, 0, adapted, adapted, 0};
    else
      machine_.rows = {step.tokens,
                       step.sequences,
                       step.samples,
                       sent.tile_count,
                       sent.decode_count,
                       step.pools,
                       sent.adapted_tokens.count,
                       sent.adapted_samples.count,
                       machine_.upload.longest_context()};
  }

  // Values of the plan compiled last: ReadValue and WriteValue are for tests, which have one.
  Type TypeOf(const Value& value) const {
    for (const int id : latest_->logits) {
      const Value& logits = values_.at(static_cast<size_t>(id));
      if (logits.offset == value.offset && logits.cols == value.cols && logits.rows == value.rows)
        return Type::kFloat32;
    }
    return latest_->type;
  }

  Machine machine_;
  WeightLoader loader_;
  BlockMoves moves_;
  const Mark copies_ = machine_.progress.MarkOf("copies of cache blocks");
  std::vector<std::unique_ptr<LoadedPlan>> plans_;  // in the order of Compile
  bool submitted_ = false;                          // the step runs as a graph
  const PlanState* latest_ = nullptr;               // of the plan compiled last
  std::vector<Value> values_;                       // likewise
};

}  // namespace
}  // namespace cuda

std::unique_ptr<Backend> MakeCudaBackend(const BackendOptions& options) {
  const std::string reason = cuda::WhyUnavailable();
  if (!reason.empty()) throw std::runtime_error(reason);
  return std::make_unique<cuda::CudaBackend>(options);
}

DeviceMemory QueryCudaMemory() {
  const cuda::DeviceInfo info = cuda::QueryDevice();
  return {info.free_bytes, info.total_bytes};
}

std::string WhyCudaIsUnavailable() { return cuda::WhyUnavailable(); }

}  // namespace octavo
