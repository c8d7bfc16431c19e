#include "arguments.h"

#include <cmath>

namespace octavo {
namespace {

template <typename Array>
Array TypedArray(const Napi::Value& value, napi_typedarray_type type, const char* what) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type)
    Misuse(value.Env(), std::string("expected ") + what);
  return value.As<Array>();
}

}  // namespace

void Misuse(Napi::Env env, const std::string& message) { throw Napi::TypeError::New(env, message); }

Napi::Object ObjectOf(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) Misuse(value.Env(), std::string(what) + ": expected an object");
  return value.As<Napi::Object>();
}

int64_t Integer(const Napi::Object& object, const char* key, int64_t least, int64_t most) {
  const Napi::Value value = object.Get(key);
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    const bool in_range =
        number >= static_cast<double>(least) && number <= static_cast<double>(most);
    if (in_range && number == std::floor(number)) return static_cast<int64_t>(number);
  }
  Misuse(object.Env(), std::string(key) + ": expected an integer from " + std::to_string(least) +
                           " to " + std::to_string(most) + ", found " +
                           value.ToString().Utf8Value());
}

int SmallInteger(const Napi::Object& object, const char* key, int least) {
  return static_cast<int>(Integer(object, key, least, INT32_MAX));
}

std::string Text(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsString()) Misuse(object.Env(), std::string(key) + ": expected a string");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Function Callback(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsFunction()) Misuse(object.Env(), std::string(key) + ": expected a function");
  return value.As<Napi::Function>();
}

Napi::Int32Array Ints(const Napi::Value& value, const char* what) {
  return TypedArray<Napi::Int32Array>(value, napi_int32_array, what);
}

Napi::Float32Array Floats(const Napi::Value& value, const char* what) {
  return TypedArray<Napi::Float32Array>(value, napi_float32_array, what);
}

Napi::Array ArrayOf(const Napi::Object& object, const char* key) {
  const Napi::Value value = object.Get(key);
  if (!value.IsArray()) Misuse(object.Env(), std::string(key) + ": expected an array");
  return value.As<Napi::Array>();
}

std::vector<int64_t> Shape(const Napi::Object& object) {
  const Napi::Array array = ArrayOf(object, "shape");
  std::vector<int64_t> shape;
  for (uint32_t i = 0; i < array.Length(); ++i) {
    const Napi::Value dimension = array[i];
    if (!dimension.IsNumber()) Misuse(object.Env(), "shape: expected numbers");
    shape.push_back(dimension.As<Napi::Number>().Int64Value());
  }
  return shape;
}

namespace {

FileRange RangeOf(const Napi::Object& object) {
  FileRange range;
  range.file = Text(object, "file");
  range.type = Text(object, "type");
  range.offset = static_cast<uint64_t>(Integer(object, "offset", 0, kMaxSafeInteger));
  range.length = static_cast<uint64_t>(Integer(object, "length", 0, kMaxSafeInteger));
  return range;
}

}  // namespace

FileTensor FileTensorOf(const Napi::Object& object) {
  FileTensor tensor;
  tensor.name = Text(object, "name");
  tensor.data = RangeOf(object);
  tensor.shape = Shape(object);
  if (object.Has("pairedHeads")) tensor.paired_heads = SmallInteger(object, "pairedHeads", 0);
  if (!object.Has("encoding")) {
    tensor.type = ParseType(tensor.data.type);
    return tensor;
  }
  const Napi::Object encoding = ObjectOf(object.Get("encoding"), "encoding");
  tensor.encoding = Text(encoding, "name");
  tensor.group = SmallInteger(encoding, "group", 0);
  if (encoding.Has("offset")) tensor.offset = encoding.Get("offset").ToNumber().FloatValue();
  const Napi::Object parts = ObjectOf(encoding.Get("parts"), "parts");
  const Napi::Array names = parts.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string name = Napi::Value(names[i]).As<Napi::String>();
    tensor.parts[name] = RangeOf(ObjectOf(parts.Get(name), name.c_str()));
  }
  return tensor;
}

BackendOptions BackendOptionsOf(const Napi::Object& object) {
  BackendOptions options;
  if (object.Has("device")) options.device = Text(object, "device");
  if (options.device != "cpu" && options.device != "cuda")
    Misuse(object.Env(), "device: expected 'cpu' or 'cuda', found '" + options.device + "'");
  if (object.Has("batchInvariant"))
    options.batch_invariant = object.Get("batchInvariant").ToBoolean();
  if (object.Has("adapterSlots"))
    options.adapter_slots = static_cast<int>(Integer(object, "adapterSlots", 0, kMostAdapters));
  if (object.Has("adapterRank")) options.adapter_rank = SmallInteger(object, "adapterRank", 0);
  options.threads = SmallInteger(object, "threads", 0);
  options.isa = Text(object, "isa");
  options.block_size = SmallInteger(object, "blockSize", 1);
  return options;
}

PoolShape PoolOf(const Napi::Object& object) {
  PoolShape pool;
  pool.block_size = SmallInteger(object, "blockSize", 1);
  pool.device_blocks = SmallInteger(object, "numBlocks", 1);
  return pool;
}

}  // namespace octavo
