#include <napi.h>

#include "plan.h"
#include "step.h"
#include "system.h"

namespace octavo {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  exports["stepFormatVersion"] = Napi::Number::New(env, kStepFormatVersion);
  exports["availableCpus"] = Napi::Function::New(
      env, [](const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), AvailableCpus()); });
  exports["availableMemory"] = Napi::Function::New(env, [](const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(AvailableMemory()));
  });
  return exports;
}

}  // namespace octavo

using octavo::Init;
NODE_API_MODULE(octavo, Init)
