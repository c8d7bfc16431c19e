// Runs plans on a backend: loads their weights, compiles their ops and runs them in order for each
// step. Used from one thread at a time.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "backend.h"
#include "shared_masks.h"
#include "weights.h"

namespace octavo {

// Thrown where work was cut short because the executor is to end.
struct Cancelled : std::runtime_error {
  Cancelled() : std::runtime_error("the engine was disposed") {}
};

// A step that owns its arrays.
struct Step {
  // Copies the arrays and checks them (StepView::Parse).
  Step(const int32_t* int_data, size_t int_count, const float* float_data, size_t float_count);
  Step(Step&&) = default;  // the view's pointers stay good: the vectors keep their buffers
  Step& operator=(Step&&) = default;
  Step(const Step&) = delete;
  Step& operator=(const Step&) = delete;

  std::vector<int32_t> ints;
  std::vector<float> floats;
  StepView view;
};

// Values that a test puts in and reads out, rows × cols floats by value id.
struct Probe {
  std::map<int, std::vector<float>> given;  // take the place of what their ops compute
  std::map<int, std::vector<float>> read;   // filled after the last op that wrote the value
};

class Executor {
 public:
  // Bytes loaded so far, and in all. What it throws ends the load.
  using Progress = std::function<void(uint64_t loaded, uint64_t total)>;

  // Once `cancelled` is true, Run throws Cancelled at its next op. It outlives the executor.
  Executor(std::unique_ptr<Backend> backend, const PoolShape& pool, const SharedMasks& masks,
           const std::atomic<bool>& cancelled)
      : backend_(std::move(backend)), pool_(pool), masks_(masks), cancelled_(&cancelled) {}

  std::string Describe() const { return backend_->Describe(); }
  const PoolShape& pool() const { return pool_; }

  struct Loaded {
    uint64_t bytes = 0;                // that weights, cache and arena took, about
    std::vector<std::string> notices;  // lines for the log
  };

  // Adds plan number 0, 1, … The first makes the cache, after which pool() has its blocks; later
  // ones must have the same groups. Where a weight file is named, weights come from there, or go
  // there; that either fails is a notice.
  Loaded Load(std::shared_ptr<const Plan> plan, TensorSource* tensors, const Progress& progress,
              const WeightFile& file = {});

  // Submits a step that was checked against its plan: on a device that works by itself, it may be
  // under way when this returns. At most Depth steps are in flight. Throws std::runtime_error
  // naming the op.
  void Submit(Step* step, Probe* probe = nullptr);
  int Depth() const { return backend_->Depth(); }
  int Flights() const { return static_cast<int>(flights_.size()); }
  // Whether Finish would not have to wait.
  bool IsDone() const { return !flights_.front().computes || backend_->IsDone(); }
  // Waits for the step that was submitted first, and gives its result.
  struct Finished {
    int step_id;
    StepResult result;
  };
  Finished Finish();
  // After a failure: no result of a step in flight will come.
  void Abandon() { flights_.clear(); }

  // Puts an adapter that changes nothing in a slot of those that steps name, and frees the one
  // before.
  void DropAdapter(int slot);
  // Puts an adapter for plan 0 in a slot. Throws std::runtime_error saying what is wrong with it.
  void LoadAdapter(int slot, const Adapter& adapter, TensorSource* tensors);

  // Waits until they are done.
  void Copy(const std::vector<BlockCopy>& copies);

 private:
  struct LoadedPlan {
    std::shared_ptr<const Plan> plan;
    std::vector<std::unique_ptr<CompiledOp>> ops;
  };

  struct Flight {
    int step_id = 0;
    bool computes = false;  // else it only copies blocks
    std::chrono::steady_clock::time_point begin;
    StepResult result;
  };

  void LoadWeights(const Plan& plan, TensorSource* tensors, const Progress& progress,
                   uint64_t total);
  bool TakeWeights(const Plan& plan, const WeightFile& file, const std::function<void()>& check,
                   Loaded* loaded);
  void KeepWeights(const Plan& plan, const WeightFile& file, const std::function<void()>& check,
                   Loaded* loaded);
  void AllocateCache(const Plan& plan);
  void SizeCache(const LoadedPlan& loaded);
  void FillSampledIds(Step* step) const;
  void RunOps(const LoadedPlan& loaded, const StepView& view, Probe* probe, StepResult* result);
  bool WriteGiven(const Plan& plan, int id, const StepView& view, const Probe& probe);
  void CheckCancelled() const;

  std::unique_ptr<Backend> backend_;
  PoolShape pool_;
  SharedMasks masks_;
  std::vector<LoadedPlan> plans_;
  std::deque<Flight> flights_;
  std::chrono::steady_clock::time_point last_end_{};  // of the step that was finished last
  std::vector<int32_t> last_ids_;  // what the last step sampled, where the depth is one
  const std::atomic<bool>* cancelled_;
};

}  // namespace octavo
