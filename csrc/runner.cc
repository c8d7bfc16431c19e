#include "runner.h"

#include <chrono>
#include <new>
#include <utility>

namespace octavo {
namespace {

// So long the engine thread looks for its next job before it sleeps: about what callers take
// between two steps. To wake it costs them as much again as all that they decide.
constexpr auto kPatience = std::chrono::microseconds(400);

constexpr const char* kDisposed = "the engine was disposed";

}  // namespace

Runner::Runner(std::unique_ptr<Backend> backend, const PoolShape& pool, Events events,
               const SharedMasks& masks)
    : masks_(masks),
      events_(std::move(events)),
      description_(backend->Describe()),
      executor_(std::make_unique<Executor>(std::move(backend), pool, masks, cancelled_)),
      pool_(pool),
      thread_([this] { Loop(); }) {}

Runner::~Runner() { Join(); }

void Runner::Load(LoadJob job) { Add(std::move(job)); }

void Runner::Submit(const int32_t* ints, size_t int_count, const float* floats,
                    size_t float_count) {
  Step step(ints, int_count, floats, float_count);
  std::shared_ptr<const Plan> plan;
  PoolShape pool;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    CheckAlive();
    const auto number = static_cast<size_t>(step.view.plan);
    if (number >= plans_.size())
      throw std::runtime_error("step: plan " + std::to_string(number) + " of " +
                               std::to_string(plans_.size()) + " loaded");
    plan = plans_[number];
    pool = pool_;
  }
  step.view.CheckFor(*plan, pool, previous_samples_);
  step.view.CheckSharedMasks(masks_.rows(), masks_.words());
  previous_samples_ = step.view.samples;
  Add(std::move(step));
}

void Runner::LoadAdapter(AdapterJob job) { Add(std::move(job)); }

void Runner::Copy(std::vector<BlockCopy> copies, Answer answer) {
  size_t groups = 0;
  PoolShape pool;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    CheckAlive();
    if (!plans_.empty()) groups = plans_[0]->caches.size();
    pool = pool_;
  }
  CheckCopies(copies.data(), static_cast<int>(copies.size()), groups, pool);
  Add(CopyJob{std::move(copies), std::move(answer)});
}

void Runner::Add(Job job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    CheckAlive();
    jobs_.push_back(std::move(job));
    job_count_ = jobs_.size();
  }
  wake_.notify_one();
}

void Runner::CheckAlive() const {
  if (stopping_) throw std::runtime_error(kDisposed);
  if (!failure_.empty()) throw std::runtime_error(failure_);
}

void Runner::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
}

void Runner::Join() {
  cancelled_ = true;  // R6
  Stop();
  if (thread_.joinable()) thread_.join();
}

void Runner::Loop() {
  Job job;
  while (Take(&job)) {
    const bool is_step = std::holds_alternative<Step>(job);
    if (FinishSteps(is_step ? executor_->Depth() - 1 : 0))
      std::visit([this](auto& kind) { Do(&kind); }, job);
    else
      Refuse(&job, Failure());  // R2
  }
  FinishSteps(0);                                         // R6
  for (Job& rest : DropJobs()) Refuse(&rest, kDisposed);  // R2
  executor_.reset();                                      // R4
  events_.on_stopped();                                   // R5
}

// The next job; false once the thread is to end. While there is none, takes results.
bool Runner::Take(Job* job) {
  while (executor_->Flights() > 0 && !HasJobs()) {
    if (executor_->IsDone())
      FinishStep();
    else
      std::this_thread::yield();
  }
  const auto sleeps_at = std::chrono::steady_clock::now() + kPatience;
  while (!HasJobs() && std::chrono::steady_clock::now() < sleeps_at) std::this_thread::yield();
  std::unique_lock<std::mutex> lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
  if (stopping_) return false;
  *job = std::move(jobs_.front());
  jobs_.pop_front();
  job_count_ = jobs_.size();
  return true;
}

std::deque<Runner::Job> Runner::DropJobs() {
  const std::lock_guard<std::mutex> lock(mutex_);
  job_count_ = 0;
  return std::exchange(jobs_, {});
}

void Runner::Do(LoadJob* job) {
  Loaded done;
  std::string error;
  const bool loaded = Try(
      [&] {
        auto plan = std::make_shared<const Plan>(Plan::Parse(job->plan));
        const auto tensors = job->open_tensors();
        const auto progress = [&](uint64_t loaded, uint64_t total) {
          if (stopping_) throw Cancelled();
          job->progress(loaded, total);
        };
        done = {executor_->Load(plan, tensors.get(), progress, job->file)};
        done.device_blocks = executor_->pool().device_blocks;
        const std::lock_guard<std::mutex> lock(mutex_);
        pool_ = executor_->pool();
        plans_.push_back(std::move(plan));
      },
      &error);
  if (!loaded) SetFailure("the engine failed to load: " + error);
  job->answer(error, done);
}

void Runner::Do(Step* step) {
  std::string error;
  if (!Try([&] { executor_->Submit(step); }, &error)) Fail(error);
}

// Takes results until so few steps are in flight; false if one failed.
bool Runner::FinishSteps(int flights) {
  while (executor_->Flights() > flights)
    if (!FinishStep()) return false;
  return true;
}

bool Runner::FinishStep() {
  PackedResult result;
  std::string error;
  const auto finish = [&] {
    const auto [step_id, found] = executor_->Finish();
    result = Pack(step_id, found);
  };
  const bool finished = Try(finish, &error);
  if (finished)
    events_.on_result(std::move(result));
  else
    Fail(error);
  return finished;
}

// Of a step.
void Runner::Fail(const std::string& error) {
  executor_->Abandon();
  if (!stopping_) Die(error);
}

void Runner::Do(CopyJob* job) {
  std::string error;
  const bool copied = Try([&] { executor_->Copy(job->copies); }, &error);
  job->answer(error);
  if (!copied) Die(error);
}

// The engine lives: other rows of later steps do not need it.
void Runner::Do(AdapterJob* job) {
  std::string error;
  Try(
      [&] {
        executor_->DropAdapter(job->slot);
        const Adapter adapter = Adapter::Parse(job->adapter);
        executor_->LoadAdapter(job->slot, adapter, job->open_tensors().get());
      },
      &error);
  job->answer(error);
}

template <typename Work>
bool Runner::Try(const Work& work, std::string* error) {
  try {
    work();
    return true;
  } catch (const std::bad_alloc&) {
    *error = "out of memory";
  } catch (const std::exception& exception) {
    *error = exception.what();
  } catch (...) {
    *error = "unknown failure";
  }
  return false;
}

void Runner::Die(const std::string& message) {
  SetFailure("the engine is dead: " + message);
  for (Job& job : DropJobs()) Refuse(&job, "the engine is dead: " + message);  // R2
  events_.on_dead(message);                                                    // R7
}

std::string Runner::Failure() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_.empty() ? kDisposed : failure_;
}

void Runner::SetFailure(const std::string& message) {
  const std::lock_guard<std::mutex> lock(mutex_);
  failure_ = message;
}

void Runner::Refuse(Job* job, const std::string& error) {
  if (auto* load = std::get_if<LoadJob>(job)) load->answer(error, {});
  if (auto* copy = std::get_if<CopyJob>(job)) copy->answer(error);
  if (auto* adapter = std::get_if<AdapterJob>(job)) adapter->answer(error);
}

}  // namespace octavo
