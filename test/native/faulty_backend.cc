// A backend that computes nothing and fails when it is told: what the engine thread is tested with.
//   token 13 first in a step    its first op throws
//   token 14                    its first op throws what is no std::exception
//   token 15                    its first op takes 30 milliseconds
//   a copy of block 13          throws
#include <chrono>
#include <stdexcept>
#include <thread>

#include "backend.h"

namespace octavo {
namespace {

class FaultyOp : public CompiledOp {
 public:
  void Run(const StepView& step, StepResult*) override {
    if (step.ids[0] == 13) throw std::runtime_error("the device is lost");
    if (step.ids[0] == 14) throw 14;
    if (step.ids[0] == 15) std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
};

class FaultyBackend : public Backend {
 public:
  std::string Describe() const override { return "faulty"; }
  void LoadWeight(const Plan&, int, const std::vector<TensorView>&) override {}
  void AllocateCache(const std::vector<CacheGroup>&) override {}
  std::vector<std::unique_ptr<CompiledOp>> Compile(const Plan& plan) override {
    std::vector<std::unique_ptr<CompiledOp>> ops;
    for (size_t i = 0; i < plan.ops.size(); ++i) ops.push_back(std::make_unique<FaultyOp>());
    return ops;
  }
  void BeginStep(const Plan&, const StepView&) override {}
  void CopyBlocks(const BlockCopy* copies, int count) override {
    for (int i = 0; i < count; ++i)
      if (copies[i].from == 13) throw std::runtime_error("the copy engine is lost");
  }
  void ReadValue(const Value&, int, float*) override {}
  void WriteValue(const Value&, int, const float*) override {}
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(const BackendOptions&) {
  return std::make_unique<FaultyBackend>();
}

std::vector<std::string> CpuInstructionSets() { return {"portable"}; }

}  // namespace octavo
