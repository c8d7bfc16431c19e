// decodeTensor: for tests only.
#pragma once

#include <napi.h>

namespace octavo {

Napi::Value DecodeTensor(const Napi::CallbackInfo& info);

}  // namespace octavo
