// Reads what JavaScript passes in and makes what it gets back. Misuse throws a TypeError.
#pragma once

#include <napi.h>

#include <cstring>
#include <string>
#include <vector>

#include "../backend.h"
#include "../weights.h"

namespace octavo {

constexpr int64_t kMaxSafeInteger = (int64_t{1} << 53) - 1;  // of JavaScript

[[noreturn]] void Misuse(Napi::Env env, const std::string& message);

Napi::Object ObjectOf(const Napi::Value& value, const char* what);

// Properties of an object. Each throws naming the key and what was expected.
int64_t Integer(const Napi::Object& object, const char* key, int64_t least, int64_t most);
int SmallInteger(const Napi::Object& object, const char* key, int least);
std::string Text(const Napi::Object& object, const char* key);
Napi::Function Callback(const Napi::Object& object, const char* key);
Napi::Array ArrayOf(const Napi::Object& object, const char* key);
std::vector<int64_t> Shape(const Napi::Object& object);

Napi::Int32Array Ints(const Napi::Value& value, const char* what);
Napi::Float32Array Floats(const Napi::Value& value, const char* what);

// The options that engines and runPlan share; no host blocks.
BackendOptions BackendOptionsOf(const Napi::Object& object);
PoolShape PoolOf(const Napi::Object& object);

FileTensor FileTensorOf(const Napi::Object& object);

// An array with a copy of the numbers.
template <typename Array, typename Element>
Array Copied(Napi::Env env, const std::vector<Element>& from) {
  Array array = Array::New(env, from.size());
  if (!from.empty()) std::memcpy(array.Data(), from.data(), from.size() * sizeof(Element));
  return array;
}

}  // namespace octavo
