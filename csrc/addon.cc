// The Node side starts here: exports what lib/native/addon-types.ts lists. Only this file and node/
// know N-API.
#include <napi.h>

#include "node/engine.h"
#include "node/run_plan.h"
#include "system.h"

namespace octavo {
namespace {

Napi::Value GetAvailableCpus(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), AvailableCpus());
}

Napi::Value GetAvailableMemory(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(AvailableMemory()));
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto names = Napi::Array::New(env);
  for (const std::string& name : CpuInstructionSets()) names[names.Length()] = name;
  exports["stepFormatVersion"] = kStepFormatVersion;
  exports["instructionSets"] = names;
  exports["availableCpus"] = Napi::Function::New<GetAvailableCpus>(env, "availableCpus");
  exports["availableMemory"] = Napi::Function::New<GetAvailableMemory>(env, "availableMemory");
  exports["Engine"] = NativeEngine::Define(env);
  exports["runPlan"] = Napi::Function::New<RunPlan>(env, "runPlan");
  return exports;
}

}  // namespace
}  // namespace octavo

using octavo::Init;
NODE_API_MODULE(octavo, Init)
