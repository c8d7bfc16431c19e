// The engine thread: does the jobs of one engine in the order in which they were given. Where the
// device works by itself, the next step is submitted before the result of the one before is taken.
//
// Lifetime rules
// R1. The thread starts in the constructor and is joined by Join, which the destructor calls.
// R2. Every load and every copy is answered exactly once, adapters included. Every step gives one
// result, unless the
//     engine dies or stops before: then its results never come.
// R3. Events and answers come from the engine thread with no lock held. They never block or throw.
// R4. The executor dies on the engine thread: freeing gigabytes does not hold up the caller.
// R5. on_stopped is the last event. After it the thread touches nothing but its own end.
// R6. Stop lets the steps in flight end and drops the jobs behind them; Join also cuts a step short
//     at its next op, so that a process can exit while it is busy.
// R7. An exception makes the engine dead: on_dead once, later jobs are refused, the process lives.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "executor.h"

namespace octavo {

class Runner {
 public:
  struct Events {
    std::function<void(PackedResult)> on_result;
    std::function<void(const std::string& message)> on_dead;
    std::function<void()> on_stopped;
  };
  // `error` is empty where the job succeeded.
  using Answer = std::function<void(const std::string& error)>;
  // What a plan took and has to tell, and the device blocks of the pool.
  struct Loaded : Executor::Loaded {
    int device_blocks = 0;
  };
  using LoadAnswer = std::function<void(const std::string& error, const Loaded& loaded)>;

  struct LoadJob {
    std::string plan;  // text form
    std::function<std::unique_ptr<TensorSource>()> open_tensors;
    Executor::Progress progress;
    LoadAnswer answer;
    WeightFile file = {};
  };

  struct AdapterJob {
    int slot = 0;
    std::string adapter;  // text form
    std::function<std::unique_ptr<TensorSource>()> open_tensors;
    Answer answer;
  };

  Runner(std::unique_ptr<Backend> backend, const PoolShape& pool, Events events,
         const SharedMasks& masks = {});
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  const std::string& description() const { return description_; }

  // Loads the next plan. A failure is answered, and then the engine can only be stopped.
  void Load(LoadJob job);

  // Copies the arrays. Throws std::runtime_error on a malformed step or a dead or stopped engine.
  void Submit(const int32_t* ints, size_t int_count, const float* floats, size_t float_count);

  // Copies blocks between steps. Throws as Submit does.
  void Copy(std::vector<BlockCopy> copies, Answer answer);

  // Loads an adapter between steps: those submitted later find it in its slot. A failure is
  // answered, and then the slot holds one that changes nothing.
  void LoadAdapter(AdapterJob job);

  void Stop();
  void Join();

 private:
  struct CopyJob {
    std::vector<BlockCopy> copies;
    Answer answer;
  };
  using Job = std::variant<LoadJob, Step, CopyJob, AdapterJob>;

  void Add(Job job);
  std::deque<Job> DropJobs();
  void CheckAlive() const;
  void Loop();
  bool Take(Job* job);
  bool HasJobs() const { return stopping_ || job_count_ > 0; }
  bool FinishStep();
  bool FinishSteps(int flights);
  void Fail(const std::string& error);
  void Do(LoadJob* job);
  void Do(Step* step);
  void Do(CopyJob* job);
  void Do(AdapterJob* job);
  static void Refuse(Job* job, const std::string& error);
  // Runs `work`; false if it threw, with why in `error` (empty where the work was cancelled).
  template <typename Work>
  bool Try(const Work& work, std::string* error);
  void Die(const std::string& message);
  std::string Failure() const;
  void SetFailure(const std::string& message);

  const SharedMasks masks_;
  const Events events_;
  std::string description_;
  std::unique_ptr<Executor> executor_;  // engine thread only
  std::atomic<bool> stopping_{false}, cancelled_{false};

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Job> jobs_;                            // under mutex_
  std::atomic<size_t> job_count_{0};                // of jobs_, for a look without the lock
  std::string failure_;                             // under mutex_: why nothing can run any more
  std::vector<std::shared_ptr<const Plan>> plans_;  // under mutex_
  PoolShape pool_;                                  // under mutex_: as loaded
  int previous_samples_ = 0;                        // of the step submitted last; caller's thread

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace octavo
