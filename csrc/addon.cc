// The Node side starts here: exports what lib/native/addon-types.ts lists. Only this file and node/
// know N-API.
#include <napi.h>

#include "backend.h"
#include "node/decode_tensor.h"
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

// "" where device 'cuda' can be used, else why not.
Napi::Value GetCudaFailure(const Napi::CallbackInfo& info) {
  return Napi::String::New(info.Env(), WhyNoCuda());
}

Napi::Value GetCudaMemory(const Napi::CallbackInfo& info) {
  const auto memory = CudaMemoryNow();
  auto result = Napi::Object::New(info.Env());
  result["free"] = static_cast<double>(memory.free_bytes);
  result["total"] = static_cast<double>(memory.total_bytes);
  return result;
}

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto names = Napi::Array::New(env);
  for (const std::string& name : CpuInstructionSets()) names[names.Length()] = name;
  exports["stepFormatVersion"] = kStepFormatVersion;
  exports["instructionSets"] = names;
  exports["availableCpus"] = Napi::Function::New<GetAvailableCpus>(env, "availableCpus");
  exports["availableMemory"] = Napi::Function::New<GetAvailableMemory>(env, "availableMemory");
  exports["hasCuda"] = IsBuiltWithCuda();
  exports["cudaFailure"] = Napi::Function::New<GetCudaFailure>(env, "cudaFailure");
  exports["cudaMemory"] = Napi::Function::New<GetCudaMemory>(env, "cudaMemory");
  exports["Engine"] = NativeEngine::Define(env);
  exports["decodeTensor"] = Napi::Function::New<DecodeTensor>(env, "decodeTensor");
  exports["runPlan"] = Napi::Function::New<RunPlan>(env, "runPlan");
  return exports;
}

}  // namespace
}  // namespace octavo

using octavo::Init;
NODE_API_MODULE(octavo, Init)
