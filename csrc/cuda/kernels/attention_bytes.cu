// Attention on tensor cores over keys and values of 8 bits.
#include "attention_tensor.cuh"

namespace octavo::cuda {

void LaunchTensorAttentionOfBytes(const AttentionArgs& args, Stream stream) {
  if (args.type == Type::kBFloat16)
    LaunchTensorAttention<BFloat16, true>(args, stream);
  else
    LaunchTensorAttention<Float16, true>(args, stream);
}

}  // namespace octavo::cuda
