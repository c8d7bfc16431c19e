#include "streams.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <random>
#include <stdexcept>
#include <utility>

#include "block.h"

namespace octavo::cuda::emulation {
namespace {

std::mutex mutex;  // of what follows; a queue itself belongs to the thread that adds to it
std::vector<WorkQueue*> queues;
std::string failure;
std::atomic<bool> failed{false};

thread_local int captures = 0;

void Fail(const std::string& why) {
  const std::lock_guard<std::mutex> lock(mutex);
  if (failed) return;
  failure = why;
  failed = true;
}

void Do(const Work& work) {
  if (failed) return;
  try {
    work();
  } catch (const DeviceFault&) {
    Fail("an illegal memory access was encountered");
  } catch (const std::exception& error) {
    Fail(error.what());
  }
}

}  // namespace

WorkQueue::WorkQueue() : owner_(std::this_thread::get_id()) {
  const std::lock_guard<std::mutex> lock(mutex);
  queues.push_back(this);
  failed = false;
}

WorkQueue::~WorkQueue() {
  Finish();
  const std::lock_guard<std::mutex> lock(mutex);
  queues.erase(std::find(queues.begin(), queues.end(), this));
}

void WorkQueue::Push(std::function<bool()> piece) {
  if (capturing_) throw std::runtime_error("a captured stream has no events");
  const std::lock_guard<std::mutex> lock(mutex);
  owner_ = std::this_thread::get_id();
  pieces_.push_back(std::move(piece));
}

void WorkQueue::Add(Work work) {
  if (capturing_) return captured_.push_back(std::move(work));
  Push([work = std::move(work)] {
    Do(work);
    return true;
  });
}

void WorkQueue::Record(std::shared_ptr<Event> event) {
  const uint64_t moment = ++event->recorded;
  Push([event = std::move(event), moment] {
    event->reached = std::max(event->reached, moment);
    return true;
  });
}

void WorkQueue::WaitFor(std::shared_ptr<Event> event) {
  const uint64_t moment = event->recorded;
  Push([event = std::move(event), moment] { return event->reached >= moment; });
}

bool WorkQueue::DoNext() {
  if (pieces_.empty()) return false;
  const std::function<bool()> piece = std::move(pieces_.front());
  pieces_.pop_front();
  if (piece()) return true;
  pieces_.push_front(piece);
  return false;
}

void WorkQueue::Finish() {
  while (!pieces_.empty())
    if (!DoSomething(this)) return Fail("streams wait for each other");
}

void WorkQueue::BeginCapture() {
  capturing_ = true;
  ++captures;
}

std::vector<Work> WorkQueue::EndCapture() {
  capturing_ = false;
  --captures;
  return std::exchange(captured_, {});
}

bool DoSomething(WorkQueue* wanted) {
  thread_local std::minstd_rand draw;
  std::vector<WorkQueue*> own;
  {
    const std::lock_guard<std::mutex> lock(mutex);
    for (WorkQueue* queue : queues)
      if (queue == wanted || queue->owner_ == std::this_thread::get_id()) own.push_back(queue);
  }
  std::shuffle(own.begin(), own.end(), draw);
  return std::any_of(own.begin(), own.end(), [](WorkQueue* queue) { return queue->DoNext(); });
}

void Reach(const Event& event) {
  while (event.reached < event.recorded)
    if (!DoSomething()) return Fail("an event is waited for that cannot come");
}

void FinishAll() {
  while (DoSomething()) continue;
}

bool IsCapturing() { return captures > 0; }

std::string Failure() {
  const std::lock_guard<std::mutex> lock(mutex);
  return failed ? failure : "";
}

}  // namespace octavo::cuda::emulation
