// Attention over the block tables of a step: which kernel serves which shape, and the reduction of
// a context that was cut into parts.
#include "attention_general.cuh"
#include "attention_tensor.cuh"

namespace octavo::cuda {
namespace {

// The parts of one query, added in order; of decoding rows only, or of all.
template <class T>
__global__ void __launch_bounds__(kWarp) ReduceKernel(Mark mark, AttentionArgs args, bool decodes) {
  Leave(mark);
  const int index = blockIdx.x, head = blockIdx.y, lane = threadIdx.x, dim = args.cache.value_dim;
  if (index >= (decodes ? args.step->decode_count : args.step->tokens)) return;
  const DeviceStep& step = *args.step;
  const int row = decodes ? step.decodes[index].first_row : index;
  int first = 0, last = args.splits;
  if (args.by_spans) {
    const int limit = LimitOf(step, step.sequence_of_row[row], row), span = SpanOf(limit);
    first = FirstSeen(args, limit) / span;
    last = (limit - 1) / span + 1;
  }
  float maximum = kLowest, sum = 0;
  for (int part = first; part < last; ++part) {
    const float* partial = PartialOf(args, index, head, part);
    sum = Merge(&maximum, partial[0])(sum, partial[1]);
  }
  const float scale = Normalizer(args, head, maximum, sum);
  for (int d = lane; d < dim; d += kWarp) {
    float value = 0;
    maximum = kLowest;
    for (int part = first; part < last; ++part) {
      const float* partial = PartialOf(args, index, head, part);
      value = Merge(&maximum, partial[0])(value, partial[kStateFloats + d]);
    }
    OutputOf<T>(args, row, head)[d] = Rounded<T>(value * scale);
  }
}

void LaunchGeneral(const AttentionArgs& args, Stream stream) {
  ForType(args.type, [&](auto type) {
    using T = typename decltype(type)::Element;
    LaunchGeneralAttention<general_attention::OfHeads, T>(args, stream);
  });
}

void LaunchTensor(const AttentionArgs& args, Stream stream) {
  if (SizeOf(args.cache.type) == 1)
    LaunchTensorAttentionOfBytes(args, stream);
  else if (args.type == Type::kBFloat16)
    LaunchTensorAttention<BFloat16, false>(args, stream);
  else
    LaunchTensorAttention<Float16, false>(args, stream);
}

// Whether tensor cores can multiply what the cache holds.
bool HasTensorType(const AttentionArgs& args) {
  switch (args.cache.type) {
    case CacheType::kFloat32: return false;
    case CacheType::kBFloat16: return args.type == Type::kBFloat16;
    case CacheType::kFloat16: return args.type == Type::kFloat16;
    case CacheType::kInt8:
    case CacheType::kFloat8: return args.type != Type::kFloat32;
  }
  return false;
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

// Asynchronous copies want rows at multiples of 16 bytes. Behind the scales of an int8 cache whose
// blockSize is odd, a layer may begin elsewhere.
bool HasTensorAttention(const AttentionArgs& args) {
  constexpr int kMostGroup = 16;  // heads that share keys and fit the rows of a decode tile
  const CacheView& cache = args.cache;
  const bool aligned = reinterpret_cast<uintptr_t>(cache.data) % 16 == 0;
  return HasTensorType(args) && aligned && !cache.latent && cache.key_dim == cache.value_dim &&
         args.heads / cache.kv_heads <= kMostGroup &&
         tensor_attention::ForDim(cache.key_dim, [](auto) {});
}

size_t AttentionTileFloats(const AttentionArgs& args) {
  return static_cast<size_t>(args.cache.kv_heads) *
         tensor_attention::KeptFloats(args.cache.key_dim);
}

int AttentionTileRows(const AttentionArgs& args) {
  return tensor_attention::Prefill<64, false>::kRows / (args.heads / args.cache.kv_heads);
}

void PagedAttention(const AttentionArgs& args, Stream stream) {
  const bool tensor = HasTensorAttention(args);
  if (args.cache.latent)
    LatentAttention(args, stream);
  else
    tensor ? LaunchTensor(args, stream) : LaunchGeneral(args, stream);
  const Dim3 grid(tensor ? args.decodes : args.rows, args.heads);
  if (args.splits == 1 || grid.x == 0) return;
  ForType(args.type, [&](auto tag) {
    Launch("attention, reduction", ReduceKernel<typename decltype(tag)::Element>, grid, kWarp, 0,
           stream, args, tensor);
  });
}

}  // namespace octavo::cuda
