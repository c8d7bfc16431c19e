// The class Engine of the addon: hands jobs to an engine thread and their answers to JavaScript.
//
// Lifetime rules (R1 … R7 are in runner.h)
// A1. State belongs to an engine or to its environment. There is no global: workers share nothing.
// A2. The engine thread reaches JavaScript only through an outbox and one thread-safe function:
//     one call a message, and one message a step.
// A3. The thread-safe function and the wrapper are referenced while a job is in flight and not when
//     idle: a busy engine keeps the process and itself alive, an idle one neither.
// A4. JavaScript callbacks are properties of the wrapper, not references from here: an engine
//     whose callbacks refer back to it can be collected.
// A5. The thread is joined when dispose() ends, when the environment ends, or when the wrapper is
//     collected, whichever comes first; the thread-safe function is released right after.
// A6. The environment's hook is added after the thread-safe function was made, so that it runs
//     before that one is torn down.
// A7. A message that arrives when the environment is ending is dropped. No C++ exception leaves the
//     callback; one that JavaScript threw becomes the process's uncaughtException.
// A8. Methods check the type tag of `this` before they touch it.
#pragma once

#include <napi.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "../runner.h"

namespace octavo {

class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static Napi::Function Define(Napi::Env env);

  explicit NativeEngine(const Napi::CallbackInfo& info);
  ~NativeEngine() override { End(); }
  NativeEngine(const NativeEngine&) = delete;
  NativeEngine& operator=(const NativeEngine&) = delete;

 private:
  struct Outbox;
  static void OnMessage(Napi::Env env, Napi::Function, Outbox* outbox, void*);
  using ToJavaScript = Napi::TypedThreadSafeFunction<Outbox, void, OnMessage>;
  // What happened on the engine thread, to be delivered on the environment's.
  using Message = std::function<void(NativeEngine*)>;

  // Messages on their way. They are kept here and not in the thread-safe function, so that none
  // leaks when it closes.
  struct Outbox {
    std::mutex mutex;
    std::deque<Message> messages;    // under mutex
    ToJavaScript function;           // set before the first message
    NativeEngine* engine = nullptr;  // environment's thread only; null once the engine has ended
    std::shared_ptr<Outbox> self;    // keeps the outbox until `function` is finalized
  };
  static void Post(const std::shared_ptr<Outbox>& outbox, Message message);

  template <Napi::Value (NativeEngine::*method)(const Napi::CallbackInfo&)>
  static Napi::Value Call(const Napi::CallbackInfo& info);
  Napi::Value Load(const Napi::CallbackInfo& info);
  Napi::Value Submit(const Napi::CallbackInfo& info);
  Napi::Value LoadAdapter(const Napi::CallbackInfo& info);
  Napi::Value Copy(const Napi::CallbackInfo& info);
  Napi::Value Dispose(const Napi::CallbackInfo& info);
  Napi::Value Counters(const Napi::CallbackInfo& info);

  Runner::Events MakeEvents() const;
  Executor::Progress MakeProgress(int id) const;
  void OnProgress(int id, uint64_t loaded, uint64_t total);
  void OnResult(const PackedResult& result);
  void OnDead(const std::string& message);
  void OnStopped();
  void Emit(const Napi::Function& callback, const std::vector<napi_value>& arguments);

  // Starts work that ends with Settle: gives its id and the promise for the caller, which resolves
  // to what `answer` makes.
  std::pair<int, Napi::Promise> NewPromise();
  using Answer = std::function<Napi::Value(Napi::Env)>;
  void Settle(int id, const std::string& error, const Answer& answer = &Napi::Env::Undefined);
  // Settles a promise from the engine thread.
  Runner::Answer Settling(int id) const;
  void BeginJob();
  void EndJob();
  void EndSteps();
  void End();
  static void OnEnvironmentEnd(void* engine) { static_cast<NativeEngine*>(engine)->End(); }

  std::shared_ptr<Outbox> outbox_ = std::make_shared<Outbox>();
  std::unique_ptr<Runner> runner_;  // null once the engine has ended
  std::map<int, Napi::Promise::Deferred> promises_;
  std::map<int, Napi::FunctionReference> progress_;  // callbacks of the loads in flight
  std::vector<Napi::Promise::Deferred> disposals_;
  int next_promise_ = 0;
  int jobs_in_flight_ = 0, steps_in_flight_ = 0;  // steps are jobs, too
  uint64_t bytes_ = 0;
  int64_t submits_ = 0, callbacks_ = 0;
};

}  // namespace octavo
