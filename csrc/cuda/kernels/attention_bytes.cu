// Attention on tensor cores over keys and values of 8 bits.
#include "attention_tensor.cuh"

namespace octavo::cuda {

void LaunchTensorAttentionOfBytes(const AttentionArgs& args, Stream stream) {
  const auto launch = [&](auto type) {
    using T = typename decltype(type)::Element;
    if (args.cache.type == CacheType::kInt8)
      LaunchTensorAttention<T, Int8>(args, stream);
    else
      LaunchTensorAttention<T, Float8>(args, stream);
  };
  args.type == Type::kBFloat16 ? launch(TypeTag<BFloat16>()) : launch(TypeTag<Float16>());
}

}  // namespace octavo::cuda
