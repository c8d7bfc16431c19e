// A backend around another one, which measures how long each op of the steps takes (octavo-replay).
#pragma once

#include <chrono>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "backend.h"

namespace octavo {

// Seconds by the kind of an op and the last part of its label, all layers together.
class OpTimes {
 public:
  using Clock = std::chrono::steady_clock;

  void Add(const std::string& name, Clock::time_point start) {
    seconds_[name] += std::chrono::duration<double>(Clock::now() - start).count();
  }

  // A line each, in microseconds a step.
  void Print(size_t steps) const {
    double total = 0;
    for (const auto& [name, seconds] : seconds_) total += seconds;
    for (const auto& [name, seconds] : seconds_)
      std::printf("%-36s %10.1f us a step %5.1f %%\n", name.c_str(),
                  seconds * 1e6 / static_cast<double>(steps), seconds / total * 100);
  }

 private:
  std::map<std::string, double> seconds_;
};

class TimedBackend : public Backend {
 public:
  // `times` outlives the backend.
  TimedBackend(std::unique_ptr<Backend> backend, OpTimes* times)
      : backend_(std::move(backend)), times_(times) {}

  std::string Describe() const override { return backend_->Describe(); }
  void LoadWeight(const Plan& plan, int id, const std::vector<TensorView>& sources) override {
    backend_->LoadWeight(plan, id, sources);
  }
  void FinishWeights() override { backend_->FinishWeights(); }
  void LoadAdapter(int slot, const Adapter& adapter,
                   const std::vector<std::vector<TensorView>>& sources) override {
    backend_->LoadAdapter(slot, adapter, sources);
  }
  void AllocateCache(const std::vector<CacheGroup>& groups, int device_blocks) override {
    backend_->AllocateCache(groups, device_blocks);
  }
  DeviceMemory MemoryNow() const override { return backend_->MemoryNow(); }
  std::vector<std::unique_ptr<CompiledOp>> Compile(const Plan& plan) override {
    auto ops = backend_->Compile(plan);
    for (size_t i = 0; i < ops.size(); ++i)
      ops[i] = std::make_unique<TimedOp>(std::move(ops[i]), NameOf(plan.ops[i]), times_);
    return ops;
  }
  void BeginStep(const Plan& plan, const StepView& step) override {
    const auto start = OpTimes::Clock::now();
    backend_->BeginStep(plan, step);
    times_->Add("(begin)", start);
  }
  void CopyBlocks(const BlockCopy* copies, int count) override {
    const auto start = OpTimes::Clock::now();
    backend_->CopyBlocks(copies, count);
    times_->Add("(copies)", start);
  }
  int Depth() const override { return backend_->Depth(); }
  void Finish(StepResult* result) override { backend_->Finish(result); }
  bool IsDone() override { return backend_->IsDone(); }
  void Wait() override { backend_->Wait(); }
  void ReadValue(const Value& value, int rows, float* to) override {
    backend_->ReadValue(value, rows, to);
  }
  void WriteValue(const Value& value, int rows, const float* from) override {
    backend_->WriteValue(value, rows, from);
  }

 private:
  class TimedOp : public CompiledOp {
   public:
    TimedOp(std::unique_ptr<CompiledOp> op, std::string name, OpTimes* times)
        : op_(std::move(op)), name_(std::move(name)), times_(times) {}

    void Run(const StepView& step, StepResult* result) override {
      const auto start = OpTimes::Clock::now();
      op_->Run(step, result);
      times_->Add(name_, start);
    }

   private:
    std::unique_ptr<CompiledOp> op_;
    std::string name_;
    OpTimes* times_;
  };

  static std::string NameOf(const Op& op) {
    const size_t dot = op.label.rfind('.');
    const std::string last = dot == std::string::npos ? op.label : op.label.substr(dot + 1);
    return op.kind + " " + last;
  }

  std::unique_ptr<Backend> backend_;
  OpTimes* times_;
};

}  // namespace octavo
