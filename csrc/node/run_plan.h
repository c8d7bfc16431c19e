// Test only: runs a plan on made-up inputs, on the caller's thread.
#pragma once

#include <napi.h>

namespace octavo {

Napi::Value RunPlan(const Napi::CallbackInfo& info);

}  // namespace octavo
