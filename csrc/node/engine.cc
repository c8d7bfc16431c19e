#include "engine.h"

#include <algorithm>
#include <cstring>

#include "arguments.h"

namespace octavo {
namespace {

constexpr napi_type_tag kEngineTag = {0x6f637461766f2d65, 0x6e67696e652d3031};

std::function<std::unique_ptr<TensorSource>()> TensorsOf(const Napi::Value& value) {
  if (!value.IsArray()) {
    const auto seed = static_cast<uint64_t>(
        Integer(ObjectOf(value, "tensors"), "seed", -kMaxSafeInteger, kMaxSafeInteger));
    return [seed] { return std::make_unique<DummyTensors>(seed); };
  }
  const auto array = value.As<Napi::Array>();
  auto tensors = std::make_shared<std::vector<FileTensor>>();
  for (uint32_t i = 0; i < array.Length(); ++i)
    tensors->push_back(FileTensorOf(ObjectOf(array[i], "tensors")));
  return [tensors] { return std::make_unique<FileTensors>(std::move(*tensors)); };
}

WeightFile WeightFileOf(const Napi::Value& value) {
  if (value.IsUndefined() || value.IsNull()) return {};
  const Napi::Object file = ObjectOf(value, "weightFile");
  return {Text(file, "path"), Text(file, "source")};
}

Napi::Object AnswerOf(Napi::Env env, const Runner::Loaded& loaded) {
  auto notices = Napi::Array::New(env);
  for (const std::string& notice : loaded.notices) notices[notices.Length()] = notice;
  auto answer = Napi::Object::New(env);
  answer["deviceBlocks"] = loaded.device_blocks;
  answer["notices"] = notices;
  return answer;
}

// Tells the garbage collector about native memory, in portions that V8 takes well.
void AdjustExternalMemory(napi_env env, int64_t bytes) {
  constexpr int64_t kPortion = int64_t{512} << 20;
  while (bytes != 0) {
    const int64_t change = std::clamp(bytes, -kPortion, kPortion);
    int64_t now = 0;
    napi_adjust_external_memory(env, change, &now);  // a hint: its failure does not matter
    bytes -= change;
  }
}

// The memory of the property `sharedMasks`, which the wrapper keeps alive.
SharedMasks SharedMasksOf(const Napi::Object& options) {
  const int rows = SmallInteger(options, "sharedMaskRows", 0);
  const Napi::Value memory = options["sharedMasks"];
  if (rows == 0 || !memory.IsTypedArray()) return {};
  const Napi::Int32Array ints = Ints(memory, "sharedMasks: an Int32Array");
  if (ints.ElementLength() % rows != 0) Misuse(options.Env(), "sharedMasks: expected equal rows");
  return {ints.Data(), rows, static_cast<int>(ints.ElementLength() / rows) - 1};
}

}  // namespace

Napi::Function NativeEngine::Define(Napi::Env env) {
  const auto none = std::vector<Napi::ClassPropertyDescriptor<NativeEngine>>();
  const Napi::Function engine = DefineClass(env, "Engine", none);
  auto prototype = engine.Get("prototype").As<Napi::Object>();
  prototype["load"] = Napi::Function::New<Call<&NativeEngine::Load>>(env, "load");
  prototype["submit"] = Napi::Function::New<Call<&NativeEngine::Submit>>(env, "submit");
  prototype["loadAdapter"] =
      Napi::Function::New<Call<&NativeEngine::LoadAdapter>>(env, "loadAdapter");
  prototype["copy"] = Napi::Function::New<Call<&NativeEngine::Copy>>(env, "copy");
  prototype["dispose"] = Napi::Function::New<Call<&NativeEngine::Dispose>>(env, "dispose");
  prototype["counters"] = Napi::Function::New<Call<&NativeEngine::Counters>>(env, "counters");
  return engine;
}

NativeEngine::NativeEngine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeEngine>(info) {
  const Napi::Env env = info.Env();
  const Napi::Object given = ObjectOf(info[0], "options");
  BackendOptions options = BackendOptionsOf(given);
  PoolShape pool = PoolOf(given);
  pool.host_blocks = options.host_blocks = SmallInteger(given, "hostBlocks", 0);
  if (given.Has("memoryShare")) {
    pool.memory_share = given.Get("memoryShare").ToNumber().DoubleValue();
    if (options.device == "cpu" || !(pool.memory_share > 0 && pool.memory_share <= 1))
      Misuse(env, "memoryShare: expected a share of a GPU's memory");
  }

  auto self = info.This().As<Napi::Object>();
  for (const char* name : {"onResult", "onDead"})  // A4
    self.DefineProperty(Napi::PropertyDescriptor::Value(name, Callback(given, name)));
  const Napi::Value masks = given["sharedMasks"];
  self.DefineProperty(Napi::PropertyDescriptor::Value("sharedMasks", masks));
  runner_ =
      std::make_unique<Runner>(MakeBackend(options), pool, MakeEvents(), SharedMasksOf(given));
  self.DefineProperty(Napi::PropertyDescriptor::Value(
      "description", Napi::String::New(env, runner_->description()), napi_enumerable));

  outbox_->function = ToJavaScript::New(env, "octavo", 0, 1, outbox_.get(),
                                        [](Napi::Env, void*, Outbox* box) { box->self.reset(); });
  outbox_->self = outbox_;
  outbox_->engine = this;
  outbox_->function.Unref(env);                            // A3
  napi_add_env_cleanup_hook(env, OnEnvironmentEnd, this);  // A6
  self.TypeTag(&kEngineTag);
}

template <Napi::Value (NativeEngine::*method)(const Napi::CallbackInfo&)>
Napi::Value NativeEngine::Call(const Napi::CallbackInfo& info) {
  const Napi::Value self = info.This();
  if (!self.IsObject() || !self.As<Napi::Object>().CheckTypeTag(&kEngineTag))  // A8
    Misuse(info.Env(), "expected `this` to be an Engine");
  return (Unwrap(self.As<Napi::Object>())->*method)(info);
}

Napi::Value NativeEngine::Load(const Napi::CallbackInfo& info) {
  Runner::LoadJob job;
  if (!info[0].IsString()) Misuse(info.Env(), "plan: expected a string");
  job.plan = info[0].As<Napi::String>().Utf8Value();
  job.open_tensors = TensorsOf(info[1]);
  job.file = WeightFileOf(info[3]);
  const bool report = info[2].IsFunction();
  const auto [id, promise] = NewPromise();
  if (report) progress_[id] = Napi::Persistent(info[2].As<Napi::Function>());
  job.progress = report ? MakeProgress(id) : [](uint64_t, uint64_t) {};
  job.answer = [outbox = outbox_, id = id](const std::string& error, const Runner::Loaded& loaded) {
    Post(outbox, [id, error, loaded](NativeEngine* engine) {
      engine->bytes_ += loaded.bytes;
      AdjustExternalMemory(engine->Env(), static_cast<int64_t>(loaded.bytes));
      engine->Settle(id, error, [&](Napi::Env env) { return AnswerOf(env, loaded); });
    });
  };
  try {
    if (!runner_) throw Cancelled();
    runner_->Load(std::move(job));
  } catch (const std::runtime_error& error) {
    Settle(id, error.what());
  }
  return promise;
}

Napi::Value NativeEngine::Submit(const Napi::CallbackInfo& info) {
  const Napi::Int32Array ints = Ints(info[0], "an Int32Array of ints");
  const Napi::Float32Array floats = Floats(info[1], "a Float32Array of floats");
  if (!runner_) throw Cancelled();
  runner_->Submit(ints.Data(), ints.ElementLength(), floats.Data(), floats.ElementLength());
  ++submits_;
  ++steps_in_flight_;
  BeginJob();
  return info.Env().Undefined();
}

Napi::Value NativeEngine::Copy(const Napi::CallbackInfo& info) {
  constexpr size_t kIntsEach = sizeof(BlockCopy) / sizeof(int32_t);
  const Napi::Int32Array ints = Ints(info[0], "an Int32Array of copies");
  if (ints.ElementLength() % kIntsEach != 0) Misuse(info.Env(), "copies: expected groups of five");
  std::vector<BlockCopy> copies(ints.ElementLength() / kIntsEach);
  if (!copies.empty()) std::memcpy(copies.data(), ints.Data(), ints.ByteLength());
  const auto [id, promise] = NewPromise();
  try {
    if (!runner_) throw Cancelled();
    runner_->Copy(std::move(copies), Settling(id));
  } catch (const std::runtime_error& error) {
    Settle(id, error.what());
  }
  return promise;
}

Napi::Value NativeEngine::LoadAdapter(const Napi::CallbackInfo& info) {
  Runner::AdapterJob job;
  if (!info[0].IsNumber()) Misuse(info.Env(), "slot: expected a number");
  job.slot = info[0].As<Napi::Number>().Int32Value();
  if (job.slot < 0 || job.slot >= kMostAdapters)
    Misuse(info.Env(), "slot: expected one below " + std::to_string(kMostAdapters));
  if (!info[1].IsString()) Misuse(info.Env(), "adapter: expected a string");
  job.adapter = info[1].As<Napi::String>().Utf8Value();
  job.open_tensors = TensorsOf(info[2]);
  const auto [id, promise] = NewPromise();
  job.answer = Settling(id);
  try {
    if (!runner_) throw Cancelled();
    runner_->LoadAdapter(std::move(job));
  } catch (const std::runtime_error& error) {
    Settle(id, error.what());
  }
  return promise;
}

Napi::Value NativeEngine::Dispose(const Napi::CallbackInfo& info) {
  auto deferred = Napi::Promise::Deferred::New(info.Env());
  if (!runner_) {
    deferred.Resolve(info.Env().Undefined());
  } else {
    disposals_.push_back(deferred);
    if (disposals_.size() == 1) {
      BeginJob();
      runner_->Stop();
    }
  }
  return deferred.Promise();
}

Napi::Value NativeEngine::Counters(const Napi::CallbackInfo& info) {
  auto counters = Napi::Object::New(info.Env());
  counters["submits"] = static_cast<double>(submits_);
  counters["callbacks"] = static_cast<double>(callbacks_);
  return counters;
}

// From the engine thread. A message that cannot be sent belongs to an environment that is ending.
void NativeEngine::Post(const std::shared_ptr<Outbox>& outbox, Message message) {
  {
    const std::lock_guard<std::mutex> lock(outbox->mutex);
    outbox->messages.push_back(std::move(message));
  }
  const napi_threadsafe_function function = outbox->function;
  if (function != nullptr) outbox->function.NonBlockingCall();
}

// On the environment's thread, once for each Post.
void NativeEngine::OnMessage(Napi::Env env, Napi::Function, Outbox* outbox, void*) {
  if (static_cast<napi_env>(env) == nullptr || outbox->engine == nullptr) return;  // A7
  Message message;
  {
    const std::lock_guard<std::mutex> lock(outbox->mutex);
    message = std::move(outbox->messages.front());
    outbox->messages.pop_front();
  }
  // The handle holds the engine until the message is delivered: EndJob may drop the references.
  [[maybe_unused]] const Napi::Value keep = outbox->engine->Value();
  try {
    message(outbox->engine);
  } catch (const Napi::Error& error) {
    napi_fatal_exception(env, error.Value());  // A7
  }
}

Runner::Events NativeEngine::MakeEvents() const {
  Runner::Events events;
  events.on_result = [outbox = outbox_](PackedResult result) {
    Post(outbox, [result = std::move(result)](NativeEngine* engine) { engine->OnResult(result); });
  };
  events.on_dead = [outbox = outbox_](const std::string& message) {
    Post(outbox, [message](NativeEngine* engine) { engine->OnDead(message); });
  };
  events.on_stopped = [outbox = outbox_] {
    Post(outbox, [](NativeEngine* engine) { engine->OnStopped(); });
  };
  return events;
}

// Reports at most once a percent.
Executor::Progress NativeEngine::MakeProgress(int id) const {
  return [outbox = outbox_, id, last = uint64_t{101}](uint64_t loaded, uint64_t total) mutable {
    const uint64_t percent = total == 0 ? 100 : loaded * 100 / total;
    if (percent == last) return;
    last = percent;
    Post(outbox, [=](NativeEngine* engine) { engine->OnProgress(id, loaded, total); });
  };
}

void NativeEngine::OnProgress(int id, uint64_t loaded, uint64_t total) {
  const Napi::Env env = Env();
  Emit(progress_[id].Value(), {Napi::Number::New(env, static_cast<double>(loaded)),
                               Napi::Number::New(env, static_cast<double>(total))});
}

void NativeEngine::OnResult(const PackedResult& result) {
  const Napi::Env env = Env();
  ++callbacks_;
  --steps_in_flight_;
  EndJob();
  Emit(
      Value().Get("onResult").As<Napi::Function>(),
      {Copied<Napi::Int32Array>(env, result.ints), Copied<Napi::Float32Array>(env, result.floats)});
}

void NativeEngine::OnDead(const std::string& message) {
  EndSteps();
  Emit(Value().Get("onDead").As<Napi::Function>(), {Napi::String::New(Env(), message)});
}

void NativeEngine::OnStopped() {
  const Napi::Env env = Env();
  EndSteps();
  EndJob();  // Dispose began it
  End();
  for (const auto& disposal : disposals_) disposal.Resolve(env.Undefined());
  disposals_.clear();
}

void NativeEngine::Emit(const Napi::Function& callback, const std::vector<napi_value>& arguments) {
  const napi_env env = Env();
  napi_value ignored = nullptr;
  if (napi_call_function(env, Value(), callback, arguments.size(), arguments.data(), &ignored) !=
      napi_pending_exception)
    return;
  napi_value exception = nullptr;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok)
    napi_fatal_exception(env, exception);  // A7; does nothing where the worker is being terminated
}

std::pair<int, Napi::Promise> NativeEngine::NewPromise() {
  const auto deferred = Napi::Promise::Deferred::New(Env());
  const int id = next_promise_++;
  promises_.emplace(id, deferred);
  BeginJob();
  return {id, deferred.Promise()};
}

Runner::Answer NativeEngine::Settling(int id) const {
  return [outbox = outbox_, id](const std::string& error) {
    Post(outbox, [id, error](NativeEngine* engine) { engine->Settle(id, error); });
  };
}

void NativeEngine::Settle(int id, const std::string& error, const Answer& answer) {
  const auto found = promises_.find(id);
  const Napi::Promise::Deferred deferred = found->second;
  promises_.erase(found);
  progress_.erase(id);
  EndJob();
  if (error.empty())
    deferred.Resolve(answer(Env()));
  else
    deferred.Reject(Napi::Error::New(Env(), error).Value());
}

void NativeEngine::BeginJob() {
  if (jobs_in_flight_++ > 0 || !runner_) return;
  outbox_->function.Ref(Env());  // A3
  Ref();
}

void NativeEngine::EndJob() {
  if (--jobs_in_flight_ > 0 || !runner_) return;
  outbox_->function.Unref(Env());
  Unref();
}

// The results of the steps in flight will never come.
void NativeEngine::EndSteps() {
  for (; steps_in_flight_ > 0; --steps_in_flight_) EndJob();
}

void NativeEngine::End() {
  if (!runner_) return;
  runner_.reset();  // A5, R1
  outbox_->engine = nullptr;
  napi_remove_env_cleanup_hook(Env(), OnEnvironmentEnd, this);
  outbox_->function.Release();
  AdjustExternalMemory(Env(), -static_cast<int64_t>(bytes_));
}

}  // namespace octavo
