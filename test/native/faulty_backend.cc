// A backend that computes nothing and fails when it is told: what the engine thread is tested with.
//   token 13 first in a step    its first op throws
//   token 14                    its first op throws what is no std::exception
//   token 15                    its first op takes 30 milliseconds
//   token 16                    is computed, and its result throws
//   a copy of block 13          throws
//   a file of weights           is read until that is called off
// With isa "ahead" it takes two steps at a time, and does the first only once it has the second.
#include <chrono>
#include <deque>
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
  explicit FaultyBackend(int depth) : depth_(depth) {}
  std::string Describe() const override { return "faulty"; }
  void LoadWeight(const Plan&, int, const std::vector<TensorView>&) override {}
  bool TakeWeights(const Plan&, const WeightFile&, const std::function<void()>& check) override {
    for (;;) check();
  }
  void LoadAdapter(int, const Adapter&, const std::vector<std::vector<TensorView>>&) override {}
  void AllocateCache(const std::vector<CacheGroup>&, int) override {}
  std::vector<std::unique_ptr<CompiledOp>> Compile(const Plan& plan) override {
    std::vector<std::unique_ptr<CompiledOp>> ops;
    for (size_t i = 0; i < plan.ops.size(); ++i) ops.push_back(std::make_unique<FaultyOp>());
    return ops;
  }
  void BeginStep(const Plan&, const StepView& step) override { begun_.push_back(step.ids[0]); }
  void CopyBlocks(const BlockCopy* copies, int count) override {
    for (int i = 0; i < count; ++i)
      if (copies[i].from == 13) throw std::runtime_error("the copy engine is lost");
  }
  int Depth() const override { return depth_; }
  bool IsDone() override { return static_cast<int>(begun_.size()) == depth_; }
  void Finish(StepResult*) override {
    const int32_t token = begun_.front();
    begun_.pop_front();
    if (token == 16) throw std::runtime_error("the result is lost");
  }
  void ReadValue(const Value&, int, float*) override {}
  void WriteValue(const Value&, int, const float*) override {}

 private:
  int depth_;
  std::deque<int32_t> begun_;
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(const BackendOptions& options) {
  return std::make_unique<FaultyBackend>(options.isa == "ahead" ? 2 : 1);
}

std::vector<std::string> CpuInstructionSets() { return {"portable"}; }

}  // namespace octavo
