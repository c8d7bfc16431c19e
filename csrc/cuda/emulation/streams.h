// Streams of the emulated device. Their work is done as late as on a GPU it may be: where somebody
// waits for it, and where several streams have some, a piece of any of them comes next. So a result
// that is read too early, host memory that is overwritten too soon, and an order that nobody asked
// for are found as wrong numbers.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace octavo::cuda::emulation {

using Work = std::function<void()>;

// How often it was recorded, and which of these moments have been reached.
struct Event {
  uint64_t recorded = 0, reached = 0;
};

class WorkQueue {
 public:
  WorkQueue();
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  // To be done in this order; while the queue is captured, remembered instead.
  void Add(Work work);
  void Record(std::shared_ptr<Event> event);
  void WaitFor(std::shared_ptr<Event> event);

  // Until all of it is done.
  void Finish();
  bool IsIdle() const { return pieces_.empty(); }

  bool capturing() const { return capturing_; }
  void BeginCapture();
  std::vector<Work> EndCapture();

 private:
  friend bool DoSomething(WorkQueue* wanted);
  // Does the next piece; false where there is none, or it waits for another stream.
  bool DoNext();
  void Push(std::function<bool()> piece);

  std::deque<std::function<bool()>> pieces_;  // each: false where it has to wait
  std::thread::id owner_;                     // who added last
  bool capturing_ = false;
  std::vector<Work> captured_;
};

// Does a piece of work of any stream that this thread adds to, or of `wanted`; false where none can
// go on.
bool DoSomething(WorkQueue* wanted = nullptr);
// Until the moment that was recorded last.
void Reach(const Event& event);
// All work of this thread's streams.
void FinishAll();

// Whether a stream of this thread is captured: most calls are not allowed then.
bool IsCapturing();

// Why the device failed; empty where it is well. After that nothing is done any more: as on a GPU
// it is the whole process's, here until the next stream is made.
std::string Failure();

}  // namespace octavo::cuda::emulation
