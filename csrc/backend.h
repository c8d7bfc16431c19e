// What a device must offer to run plans. The executor owns a backend and calls it from one thread,
// the engine thread, only. A backend knows plans and steps; it has no idea of a request or of Node.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapter.h"
#include "plan.h"
#include "step.h"

namespace octavo {

// One op of a plan, made ready: attributes read, kernel chosen, addresses resolved.
class CompiledOp {
 public:
  virtual ~CompiledOp() = default;
  // Runs the op for the step that BeginStep announced. `sample` also fills the result, unless the
  // backend's Finish does.
  virtual void Run(const StepView& step, StepResult* result) = 0;
};

struct BackendOptions {
  std::string device = "cpu";    // or "cuda"
  bool batch_invariant = false;  // CUDA: a row's numbers depend on its sequence only
  bool graphs = true;            // CUDA: captures steps that only decode, and submits them whole
  // Workers with the engine thread; 0: what affinity and quota allow. On CUDA they load weights.
  int threads = 0;
  std::string isa;      // CPU: "" the best, or "avx512", "avx2", "portable"
  int block_size = 16;  // tokens a cache block
  int host_blocks = 0;  // host tier
  // CUDA: slots of adapters, which get their memory when a plan is compiled, and the largest rank
  // that their matrices may have.
  int adapter_slots = 0, adapter_rank = 0;
  bool probed = false;  // CPU: values are put in and read out between ops, all as floats
};

// Where a backend keeps a plan's weights in its own form, for loads to come.
struct WeightFile {
  std::string path;    // UTF-8; empty: nowhere
  std::string source;  // what they were made of: another text, where their contents may differ
};

struct DeviceMemory {
  size_t free_bytes = 0, total_bytes = 0;
};

class Backend {
 public:
  virtual ~Backend() = default;

  // One line for logs: "cpu avx512, 2 threads".
  virtual std::string Describe() const = 0;

  // Stores weight `id` of the plan from its sources (in order, types as in the checkpoint; fused by
  // rows; converted to weight.type, vectors to float32). The views stay valid until the next
  // FinishWeights returns. Weights of a later plan with the same source names and type share
  // storage.
  virtual void LoadWeight(const Plan& plan, int id, const std::vector<TensorView>& sources) = 0;
  // Does what is left to do for the weights so far.
  virtual void FinishWeights() {}

  // Takes all weights of the plan from a file that KeepWeights wrote, in place of LoadWeight and
  // FinishWeights; false where there is no file, or the backend keeps none. Throws
  // std::runtime_error saying what is wrong with the file, and has then taken nothing. Calls
  // `check` now and then, and passes on what it throws.
  virtual bool TakeWeights(const Plan&, const WeightFile&, const std::function<void()>&) {
    return false;
  }
  // Writes all weights of the plan, which are loaded. Calls `check` now and then; what it throws
  // leaves no file behind. Throws std::runtime_error as TakeWeights does.
  virtual void KeepWeights(const Plan&, const WeightFile&, const std::function<void()>&) {}

  // Puts an adapter in a slot, in place of the one before, from the sources of each of its weights;
  // one of no parts changes nothing. Throws std::runtime_error as LoadWeight does.
  virtual void LoadAdapter(int slot, const Adapter& adapter,
                           const std::vector<std::vector<TensorView>>& sources) = 0;

  // Allocates one pool for all groups: device_blocks (block 0, the null block, included) and the
  // options' host blocks, each of the bytes that BlockBytes(groups, block_size) says. Zeroed. Where
  // MemoryNow says something it may be called again: the pool before is gone, and ops that were
  // compiled use the new one.
  virtual void AllocateCache(const std::vector<CacheGroup>& groups, int device_blocks) = 0;

  // What the device has, where a pool can be sized by it; else nothing.
  virtual DeviceMemory MemoryNow() const { return {}; }

  // Allocates (or grows) the arena and returns the ops ready to run, in order. Throws naming the
  // op's label when a kind, type or shape is not supported.
  virtual std::vector<std::unique_ptr<CompiledOp>> Compile(const Plan& plan) = 0;

  // Once before the ops of a step: work that all layers share (rotary angles, the attention split).
  virtual void BeginStep(const Plan& plan, const StepView& step) = 0;

  // Block copies in order, as one batch. Blocks on both sides are owned by the caller.
  virtual void CopyBlocks(const BlockCopy* copies, int count) = 0;

  // How many steps may be in flight. Where it is one, ops and copies are done when they return.
  // Where it is more, they are only submitted, in order: `sample` begins to bring the result, which
  // Finish waits for, and ids −1−r are read where the step before left what it drew.
  virtual int Depth() const { return 1; }
  // Waits for the step that began first among those in flight, and fills its result.
  virtual void Finish(StepResult*) {}
  // Whether Finish would not have to wait.
  virtual bool IsDone() { return true; }
  // Until everything that was submitted is done.
  virtual void Wait() {}

  // The rows of a value as the last op left them; for tests and dumps. rows × cols floats.
  virtual void ReadValue(const Value& value, int rows, float* to) = 0;
  virtual void WriteValue(const Value& value, int rows, const float* from) = 0;
};

// The backend of options.device. Throws std::runtime_error where this build or this machine has
// none, saying what was looked for.
std::unique_ptr<Backend> MakeBackend(const BackendOptions& options);

// Empty where device 'cuda' can be used; else why not.
std::string WhyNoCuda();
bool IsBuiltWithCuda();

// Throws std::runtime_error where there is no GPU.
DeviceMemory CudaMemoryNow();

// Throws std::runtime_error if the machine cannot run it (an isa that the CPU lacks).
std::unique_ptr<Backend> MakeCpuBackend(const BackendOptions& options);

// Instruction sets of this CPU that there are kernels for, best first, "portable" last.
std::vector<std::string> CpuInstructionSets();

}  // namespace octavo
