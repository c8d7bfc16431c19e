// Rows on their own: embedding, norms, gated activations, gathering. All are bound by memory, so
// each thread moves 16 bytes at a time wherever rows are long enough.
#include "dispatch.h"
#include "launchers.h"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;

// A row of the vectors that came with the step.
template <class T>
__device__ __forceinline__ void EmbedVector(const EmbedArgs& args, int row, int64_t id) {
  const float* from = args.step->embeddings + (id - args.vocabulary) * args.step->embedding_columns;
  T* to = static_cast<T*>(args.out) + static_cast<int64_t>(row) * args.cols;
  for (int i = threadIdx.x; i < args.cols; i += kThreads) to[i] = Rounded<T>(from[i] * args.scale);
}

__global__ void MarkKernel(Mark mark) { Leave(mark); }

// Rows of padding have no token; they take the first.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads) EmbedKernel(Mark mark, EmbedArgs args) {
  Leave(mark);
  const int row = blockIdx.x;
  const bool padding = row >= args.step->tokens;
  int64_t id = padding            ? 0
               : args.by_position ? args.step->positions[row] + args.position_offset
                                  : args.step->ids[row];
  if (id < 0) id = args.last_ids[-1 - id];
  if (id >= args.vocabulary && !args.by_position) return EmbedVector<T>(args, row, id);
  const T* from = static_cast<const T*>(args.table) + id * args.cols;
  T* to = static_cast<T*>(args.out) + static_cast<int64_t>(row) * args.cols;
  for (int i = threadIdx.x * kCount; i < args.cols; i += kThreads * kCount) {
    auto pack = LoadPack<kCount>(from + i);
    if (args.scale != 1)
      for (int j = 0; j < kCount; ++j) pack.at[j] = Rounded<T>(ToFloat(pack.at[j]) * args.scale);
    StorePack(pack, to + i);
  }
}

template <class T, int kCount>
__global__ void __launch_bounds__(kThreads) GatherKernel(Mark mark, GatherArgs args) {
  Leave(mark);
  const int row = blockIdx.x;
  if (row >= args.step->samples) return;
  const int64_t token_row = args.step->sample_ints[row].token_row;
  const T* from = static_cast<const T*>(args.input) + token_row * args.cols;
  T* to = static_cast<T*>(args.out) + static_cast<int64_t>(row) * args.cols;
  for (int i = threadIdx.x * kCount; i < args.cols; i += kThreads * kCount)
    StorePack(LoadPack<kCount>(from + i), to + i);
}

// A block a row. Each thread reads again only what it wrote itself.
template <class T, int kCount>
__global__ void __launch_bounds__(kThreads) NormKernel(Mark mark, NormArgs args) {
  Leave(mark);
  const auto scratch = Shared<float>(0, kThreads / kWarp);
  const int64_t start = static_cast<int64_t>(blockIdx.x) * args.cols;
  const T* input = static_cast<const T*>(args.input) + start;
  T* residual = args.residual == nullptr ? nullptr : static_cast<T*>(args.residual) + start;
  const T* normed = residual == nullptr ? input : residual;
  const int first = threadIdx.x * kCount, stride = kThreads * kCount;

  float sum = 0;
  for (int i = first; i < args.cols; i += stride) {
    auto pack = LoadPack<kCount>(input + i);
    if (residual != nullptr) {
      const auto before = LoadPack<kCount>(residual + i);
      for (int j = 0; j < kCount; ++j)
        pack.at[j] = Rounded<T>(ToFloat(before.at[j]) + ToFloat(pack.at[j]));
      StorePack(pack, residual + i);
    }
    for (int j = 0; j < kCount; ++j) {
      const float x = ToFloat(pack.at[j]);
      sum += args.layer ? x : x * x;
    }
  }
  const float cols = static_cast<float>(args.cols);
  float mean = 0, square = ReduceBlock(sum, Add(), scratch) / cols;
  if (args.layer) {
    mean = square;
    sum = 0;
    for (int i = first; i < args.cols; i += stride) {
      const auto pack = LoadPack<kCount>(normed + i);
      for (int j = 0; j < kCount; ++j) {
        const float x = ToFloat(pack.at[j]) - mean;
        sum += x * x;
      }
    }
    square = ReduceBlock(sum, Add(), scratch) / cols;
  }
  const float scale = 1 / sqrtf(square + args.eps);
  T* out = static_cast<T*>(args.out) + start;
  for (int i = first; i < args.cols; i += stride) {
    auto pack = LoadPack<kCount>(normed + i);
    for (int j = 0; j < kCount; ++j) {
      float x = (ToFloat(pack.at[j]) - mean) * scale;
      if (args.weight != nullptr) x *= args.weight[i + j];
      if (args.bias != nullptr) x += args.bias[i + j];
      pack.at[j] = Rounded<T>(x);
    }
    StorePack(pack, out + i);
  }
}

__device__ __forceinline__ float Softplus(float x) { return x > 20 ? x : log1pf(expf(x)); }

__device__ __forceinline__ float Xielu(const float* parameters, float x) {
  const float rise = Softplus(parameters[0]), beta = parameters[2];
  const float fall = beta + Softplus(parameters[1]);
  return beta * x + (x > 0 ? rise * x * x : fall * (expm1f(min(x, parameters[3])) - x));
}

__device__ __forceinline__ float Apply(Activation activation, const float* parameters, float x) {
  switch (activation) {
    case Activation::kSilu: return x / (1 + expf(-x));
    case Activation::kGelu: return 0.5f * x * erfcf(x * -0.70710678f);
    case Activation::kGeluTanh: {
      // (1 + tanh u) / 2 = 1 / (1 + e^(-2u)), without its cancellation
      const float u = 0.79788456f * (x + 0.044715f * x * x * x);
      return x / (1 + expf(-2 * u));
    }
    case Activation::kGeluQuick: return x / (1 + expf(-1.702f * x));
    case Activation::kRelu: return x > 0 ? x : 0;
    case Activation::kReluSquared: return x > 0 ? x * x : 0;
    case Activation::kClampedSwiglu: return min(x, 7.0f) / (1 + expf(-1.702f * min(x, 7.0f)));
    case Activation::kXielu: return Xielu(parameters, x);
  }
  return 0;
}

template <class T, int kCount>
__global__ void __launch_bounds__(kThreads) ActivationKernel(Mark mark, ActivationArgs args) {
  Leave(mark);
  const int i = (blockIdx.y * kThreads + threadIdx.x) * kCount;
  if (i >= args.cols) return;
  const int64_t row = blockIdx.x, width = args.gated ? 2 * args.cols : args.cols;
  const T* input = static_cast<const T*>(args.input) + row * width + i;
  auto pack = LoadPack<kCount>(input);
  for (int j = 0; j < kCount; ++j)
    pack.at[j] = Rounded<T>(Apply(args.activation, args.parameters, ToFloat(pack.at[j])));
  if (args.gated) {
    const auto up = LoadPack<kCount>(input + args.cols);
    for (int j = 0; j < kCount; ++j) {
      float factor = ToFloat(up.at[j]);
      if (args.activation == Activation::kClampedSwiglu) factor = max(-7.0f, min(factor, 7.0f)) + 1;
      pack.at[j] = Rounded<T>(ToFloat(pack.at[j]) * factor);
    }
  }
  StorePack(pack, static_cast<T*>(args.out) + row * args.cols + i);
}

template <class T>
__global__ void __launch_bounds__(kThreads) CombineKernel(Mark mark, CombineArgs args) {
  Leave(mark);
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= args.count) return;
  float x = ToFloat(static_cast<const T*>(args.input)[i]);
  if (args.other != nullptr)
    x += ToFloat(static_cast<const T*>(args.other)[i]);
  else
    x *= args.factor;
  if (args.cap != 0) x = args.cap * tanhf(x / args.cap);
  static_cast<T*>(args.out)[i] = Rounded<T>(x);
}

// Calls body(TypeTag<T>(), width) where width::value elements can be moved at a time: a pack, or
// one where rows are no multiple of it.
template <class Body>
void ForRowsOf(Type type, int cols, const Body& body) {
  ForType(type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    if (cols % kPackOf<T> == 0)
      body(tag, std::integral_constant<int, kPackOf<T>>());
    else
      body(tag, std::integral_constant<int, 1>());
  });
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void LeaveMark(Stream stream) { Launch("mark", MarkKernel, 1, kWarp, 0, stream); }

void Embed(const EmbedArgs& args, Stream stream) {
  if (args.codes.bits != 0) return EmbedCodes(args, stream);
  ForRowsOf(args.type, args.cols, [&](auto tag, auto width) {
    using T = typename decltype(tag)::Element;
    Launch("embed", EmbedKernel<T, width()>, args.rows, kThreads, 0, stream, args);
  });
}

void Gather(const GatherArgs& args, Stream stream) {
  ForRowsOf(args.type, args.cols, [&](auto tag, auto width) {
    using T = typename decltype(tag)::Element;
    Launch("gather", GatherKernel<T, width()>, args.rows, kThreads, 0, stream, args);
  });
}

void Combine(const CombineArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("combine", CombineKernel<T>, CeilDiv(args.count, kThreads), kThreads, 0, stream, args);
  });
}

void Norm(const NormArgs& args, Stream stream) {
  ForRowsOf(args.type, args.cols, [&](auto tag, auto width) {
    using T = typename decltype(tag)::Element;
    constexpr size_t kScratch = kThreads / kWarp * sizeof(float);
    Launch("norm", NormKernel<T, width()>, args.rows, kThreads, kScratch, stream, args);
  });
}

void Activate(const ActivationArgs& args, Stream stream) {
  ForRowsOf(args.type, args.cols, [&](auto tag, auto width) {
    using T = typename decltype(tag)::Element;
    const Dim3 grid(args.rows, CeilDiv(args.cols, kThreads * width()));
    Launch("activation", ActivationKernel<T, width()>, grid, kThreads, 0, stream, args);
  });
}

}  // namespace octavo::cuda
