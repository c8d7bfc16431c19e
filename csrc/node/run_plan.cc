#include "run_plan.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "../executor.h"
#include "arguments.h"

namespace octavo {
namespace {

Type ArrayType(const Napi::Object& tensor, const Napi::TypedArray& data) {
  const Type type = ParseType(Text(tensor, "type"));
  const auto wanted = type == Type::kFloat32 ? napi_float32_array : napi_uint16_array;
  if (data.TypedArrayType() != wanted)
    Misuse(tensor.Env(), std::string("data: not the array for elements of ") + NameOf(type));
  return type;
}

MemoryTensors ArraysOf(const Napi::Object& object) {
  std::map<std::string, TensorView> tensors;
  const Napi::Array names = object.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = names.Get(i).As<Napi::String>().Utf8Value();
    const Napi::Object tensor = ObjectOf(object.Get(name), name.c_str());
    const Napi::Value data = tensor.Get("data");
    if (!data.IsTypedArray()) Misuse(object.Env(), name + ": expected data to be a typed array");
    const auto array = data.As<Napi::TypedArray>();
    TensorView view;
    view.type = ArrayType(tensor, array);
    view.shape = Shape(tensor);
    if (view.Count() != static_cast<int64_t>(array.ElementLength()))
      Misuse(object.Env(), name + ": the shape does not fit the data");
    view.data = static_cast<const uint8_t*>(array.ArrayBuffer().Data()) + array.ByteOffset();
    tensors[name] = view;
  }
  return MemoryTensors(std::move(tensors));
}

int ValueId(Napi::Env env, const Plan& plan, const std::string& text) {
  for (size_t id = 0; id < plan.values.size(); ++id)
    if (text == std::to_string(id)) return static_cast<int>(id);
  Misuse(env, "expected the id of a value of the plan, found " + text);
}

Probe ProbeOf(const Plan& plan, const Napi::Value& values, const Napi::Array& read) {
  const Napi::Env env = read.Env();
  Probe probe;
  for (uint32_t i = 0; i < read.Length(); ++i)
    probe.read[ValueId(env, plan, read.Get(i).ToString().Utf8Value())];
  if (values.IsUndefined()) return probe;
  const Napi::Object given = ObjectOf(values, "values");
  const Napi::Array ids = given.GetPropertyNames();
  for (uint32_t i = 0; i < ids.Length(); ++i) {
    const Napi::Float32Array rows = Floats(given.Get(ids.Get(i)), "values of Float32Array");
    const int id = ValueId(env, plan, ids.Get(i).ToString().Utf8Value());
    probe.given[id].assign(rows.Data(), rows.Data() + rows.ElementLength());
  }
  return probe;
}

// Whether a step puts values in or reads some out.
bool IsProbed(const Napi::Object& request) {
  const Napi::Array steps = ArrayOf(request, "steps");
  bool probed = ArrayOf(request, "read").Length() > 0;
  for (uint32_t i = 0; i < steps.Length(); ++i)
    probed = probed || !ObjectOf(steps[i], "steps").Get("values").IsUndefined();
  return probed;
}

std::vector<Adapter> AdaptersOf(const Napi::Object& request) {
  std::vector<Adapter> adapters;
  if (!request.Has("adapters")) return adapters;
  const Napi::Array texts = ArrayOf(request, "adapters");
  for (uint32_t i = 0; i < texts.Length(); ++i)
    adapters.push_back(Adapter::Parse(texts.Get(i).ToString()));
  return adapters;
}

Napi::Object ResultOf(Napi::Env env, const PackedResult& packed, const Probe& probe) {
  auto values = Napi::Object::New(env);
  for (const auto& [id, rows] : probe.read)
    values[static_cast<uint32_t>(id)] = Copied<Napi::Float32Array>(env, rows);
  auto result = Napi::Object::New(env);
  result["ints"] = Copied<Napi::Int32Array>(env, packed.ints);
  result["floats"] = Copied<Napi::Float32Array>(env, packed.floats);
  result["values"] = values;
  return result;
}

}  // namespace

Napi::Value RunPlan(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Napi::Object request = ObjectOf(info[0], "request");
  BackendOptions options = BackendOptionsOf(request);
  options.graphs = false;  // values are put in and read out between ops
  options.probed = IsProbed(request);
  const std::vector<Adapter> adapters = AdaptersOf(request);
  options.adapter_slots = static_cast<int>(adapters.size());
  for (const Adapter& adapter : adapters)
    options.adapter_rank = std::max(options.adapter_rank, adapter.LargestRank());
  const auto plan = std::make_shared<const Plan>(Plan::Parse(Text(request, "plan")));
  MemoryTensors tensors = ArraysOf(ObjectOf(request.Get("tensors"), "tensors"));
  const std::atomic<bool> cancelled{false};
  const PoolShape pool = PoolOf(request);
  Executor executor(MakeBackend(options), pool, SharedMasks(), cancelled);
  executor.Load(plan, &tensors, [](uint64_t, uint64_t) {});
  for (size_t i = 0; i < adapters.size(); ++i)
    executor.LoadAdapter(static_cast<int>(i), adapters[i], &tensors);

  const Napi::Array steps = ArrayOf(request, "steps");
  auto results = Napi::Array::New(env);
  int previous_samples = 0;
  for (uint32_t i = 0; i < steps.Length(); ++i) {
    const Napi::Object given = ObjectOf(steps[i], "steps");
    const Napi::Int32Array ints = Ints(given.Get("ints"), "ints to be an Int32Array");
    const Napi::Float32Array floats = Floats(given.Get("floats"), "floats to be a Float32Array");
    Step step(ints.Data(), ints.ElementLength(), floats.Data(), floats.ElementLength());
    step.view.CheckFor(*plan, pool, previous_samples);
    previous_samples = step.view.samples;
    Probe probe = ProbeOf(*plan, given.Get("values"), ArrayOf(request, "read"));
    executor.Submit(&step, &probe);
    const auto [step_id, result] = executor.Finish();
    results[i] = ResultOf(env, Pack(step_id, result), probe);
  }
  auto result = Napi::Object::New(env);
  result["steps"] = results;
  return result;
}

}  // namespace octavo
