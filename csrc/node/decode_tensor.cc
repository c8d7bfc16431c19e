// decodeTensor: the numbers of a checkpoint tensor, or those of its codes in a form. For tests.
#include "decode_tensor.h"

#include <algorithm>
#include <vector>

#include "../quantized.h"
#include "arguments.h"

namespace octavo {
namespace {

void DecodeCodes(const RowDecoder& decoder, int64_t row, const Quantization& form, float* to) {
  const int64_t cols = decoder.cols(), size = form.group == 0 ? cols : form.group;
  std::vector<uint8_t> codes(static_cast<size_t>(cols));
  std::vector<float> scratch(codes.size()), scales(static_cast<size_t>(GroupsOf(form, cols)));
  std::vector<float> minimums(scales);
  decoder.Codes(row, form, scratch.data(), {codes.data(), scales.data(), minimums.data()});
  const std::vector<int32_t>* order = decoder.ColumnOrder();
  for (int64_t i = 0; i < cols; ++i) {
    const auto group = static_cast<size_t>(i / size);
    const float number = ValueOf(codes[static_cast<size_t>(i)], decoder.Traits(form));
    to[order == nullptr ? i : (*order)[static_cast<size_t>(i)]] =
        scales[group] * number + minimums[group];
  }
}

// The whole tensor as one matrix.
TensorView ViewOf(FileTensors* tensors, const FileTensor& tensor) {
  Weight weight;
  weight.matrix = true;
  weight.cols = tensor.shape.at(1);
  return tensors->Get(weight, {tensor.name, tensor.shape.at(0), {}});
}

}  // namespace

Napi::Value DecodeTensor(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  try {
    const FileTensor tensor = FileTensorOf(ObjectOf(info[0], "tensor"));
    const std::string name = info[1].ToString().Utf8Value();
    Quantization form;
    const bool found = ParseQuantization(name, &form) && form.bits <= 8;  // words are no bytes
    if (!name.empty() && !found) Misuse(env, "no such form: " + name);
    FileTensors tensors({tensor});
    const TensorView view = ViewOf(&tensors, tensor);
    const auto decoder = DecoderOf(view, tensor.shape[1]);
    auto numbers = Napi::Float32Array::New(env, static_cast<size_t>(view.Count()));
    for (int64_t row = 0; row < tensor.shape[0]; ++row) {
      float* to = numbers.Data() + row * tensor.shape[1];
      if (form) {
        DecodeCodes(*decoder, row, form, to);
      } else {
        decoder->Numbers(row, to);
      }
    }
    return numbers;
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    throw Napi::Error::New(env, error.what());
  }
}

}  // namespace octavo
