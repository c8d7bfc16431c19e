// What adapters add to a product: a kernel shrinks the rows that have one, input × aᵀ, the next one
// expands what it left, by b. Blocks take up to 16 rows of one adapter: on tensor cores where
// elements have 16 bits.
#include "adapt.cuh"
#include "matrix_column.cuh"
#include "tensor_core.cuh"

namespace octavo::cuda {
namespace {

constexpr int kWarps = kAdaptThreads / kWarp;
constexpr int kTiles = 4;  // of eight columns of a product, that a warp computes
constexpr int kShrunkColumns = kTiles * 8;
constexpr int kPartialStride = kShrunkColumns + 8;

// Eight neighbouring elements of a row, as fragments hold them; zeros where not inside.
struct Words {
  uint32_t at[4];
};
template <class T>
__device__ __forceinline__ Words LoadWords(const T* from, bool inside) {
  Words words = {};
  if (!inside) return words;
  const Pack<T, 8> pack = LoadPack<8>(from);
  memcpy(&words, &pack, sizeof words);
  return words;
}

// A block has a span of the input's columns and kShrunkColumns of the product's. Its warps take 32
// of the input's in turn, a lane eight: which of them meet in which step of a product is the same
// for input and matrix, and means nothing. Left to itself the compiler makes room for more blocks
// than four, and spills.
template <class T>
__global__ void __launch_bounds__(kAdaptThreads, 4) TensorShrinkKernel(Mark mark, AdaptArgs args) {
  Leave(mark);
  const auto partials = Shared<float>(0, kWarps * kAdaptedRows * kPartialStride);
  const AdapterRun run = RunOf(args);
  if (run.rows == 0) return;
  const int spans = ShrinkSpans(args), span = blockIdx.y % spans;
  const int first_column = blockIdx.y / spans * kShrunkColumns;
  const int columns = ShrunkColumns(args, run.adapter) - first_column;
  if (columns <= 0) return;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int row = lane / 4, part = lane % 4 * 8;
  const T* input =
      static_cast<const T*>(args.input) + static_cast<int64_t>(run.first_row + row) * args.k;
  const T* a = MatrixA<T>(args, run.adapter) + static_cast<int64_t>(first_column + row) * args.k;
  const int end = min(args.k, (span + 1) * ShrinkSpan(args));

  float sums[kTiles][4] = {};
#pragma unroll 2
  for (int k = span * ShrinkSpan(args) + warp * kWarp; k < end; k += kAdaptThreads) {
    const int at = k + part;
    const bool inside = at < end;
    const Words low = LoadWords(input + at, inside && row < run.rows);
    const Words high = LoadWords(input + 8 * int64_t{args.k} + at, inside && row + 8 < run.rows);
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      if (j * 8 >= columns) continue;
      const Words weights = LoadWords(a + j * 8 * int64_t{args.k} + at, inside);
#pragma unroll
      for (int step = 0; step < 4; step += 2) {
        const uint32_t left[4] = {low.at[step], high.at[step], low.at[step + 1], high.at[step + 1]};
        MultiplyAdd<T>(sums[j], left, weights.at + step);
      }
    }
  }
#pragma unroll
  for (int j = 0; j < kTiles; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      partials[(warp * kAdaptedRows + row + e / 2 * 8) * kPartialStride + j * 8 + lane % 4 * 2 +
               e % 2] = sums[j][e];
  __syncthreads();
  for (int i = threadIdx.x; i < run.rows * kShrunkColumns; i += kAdaptThreads) {
    const int r = i / kShrunkColumns, c = i % kShrunkColumns;
    if (c >= columns) continue;
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += partials[(w * kAdaptedRows + r) * kPartialStride + c];
    args.shrunk[ShrunkAt(args, span, run.first_row + r, first_column + c)] = sum;
  }
}

// A warp a column of the product.
template <class T>
__global__ void __launch_bounds__(kAdaptThreads) ShrinkKernel(Mark mark, AdaptArgs args) {
  Leave(mark);
  constexpr int kRows = 4;  // at a time
  const AdapterRun run = RunOf(args);
  const int column = blockIdx.y * kWarps + threadIdx.x / kWarp;
  if (run.rows == 0 || column >= ShrunkColumns(args, run.adapter)) return;
  const NumberColumn<T, 1> weights(MatrixA<T>(args, run.adapter), column, args.k);
  for (int first = 0; first < run.rows; first += kRows) {
    const T* inputs[kRows];
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const int64_t row = run.first_row + min(first + r, run.rows - 1);
      inputs[r] = static_cast<const T*>(args.input) + row * args.k;
    }
    float sums[kRows];
    Multiply(weights, args.k, inputs, sums);
#pragma unroll
    for (int r = 0; r < kRows; ++r)
      if (threadIdx.x % kWarp == 0 && first + r < run.rows)
        args.shrunk[ShrunkAt(args, 0, run.first_row + first + r, column)] = sums[r];
  }
}

// Eight neighbouring columns of a row, `count` of which there are. `packs`: they lie at a multiple
// of eight elements.
template <class T>
__device__ __forceinline__ void AddTo(T* to, const float (&added)[8], int count, bool packs) {
  if (packs && count >= 8) {
#pragma unroll
    for (int first = 0; first < 8; first += kPackOf<T>) {
      auto pack = LoadPack<kPackOf<T>>(to + first);
#pragma unroll
      for (int i = 0; i < kPackOf<T>; ++i)
        pack.at[i] = Rounded<T>(ToFloat(pack.at[i]) + added[first + i]);
      StorePack(pack, to + first);
    }
    return;
  }
#pragma unroll
  for (int i = 0; i < 8; ++i)
    if (i < count) to[i] = Rounded<T>(ToFloat(to[i]) + added[i]);
}

// Elements from a row to the next one, for a multiple of 16: so four of them lie in different
// banks.
__host__ __device__ __forceinline__ int ShrunkStride(int rank) { return rank | 16; }

// A warp has 32 columns of the output. Its four products have two of each lane's eight columns
// each, so that a lane adds to neighbours.
template <class T>
__global__ void __launch_bounds__(kAdaptThreads) TensorExpandKernel(Mark mark, AdaptArgs args) {
  Leave(mark);
  const AdapterRun run = RunOf(args);
  if (run.rows == 0) return;
  const Expanded<T> expanded = ExpandedOf<T>(args, run.adapter);
  const AdaptedPart& part = expanded.part;
  if (part.rank == 0) return;
  const int stride = ShrunkStride(part.rank);
  LoadShrunk(args, run, part, stride, Shared<T>(0, kAdaptedRows * stride));
  __syncthreads();
  const auto shrunk = Shared<Pack<T, 4>>(0, kAdaptedRows * stride / 4);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int row = lane / 4, quarter = lane % 4;
  const int first = expanded.first + warp * kTiles * 8;
  if (first >= part.rows) return;

  float sums[kTiles][4] = {};
  for (int k = 0; k < part.rank; k += 16) {
    const int at = k + quarter * 4;
    const Pack<T, 4> low = shrunk[(row * stride + at) / 4];
    const Pack<T, 4> high = shrunk[((row + 8) * stride + at) / 4];
    uint32_t left[4];
    memcpy(left, &low, sizeof low);
    memcpy(left + 2, &high, sizeof high);
    const uint32_t ordered[4] = {left[0], left[2], left[1], left[3]};
#pragma unroll
    for (int j = 0; j < kTiles; ++j) {
      const int column = first + row / 2 * 8 + j * 2 + row % 2;
      Pack<T, 4> weights = {};
      if (column < part.rows)
        weights = LoadPack<4>(expanded.b + static_cast<int64_t>(column) * part.rank + at);
      uint32_t right[2];
      memcpy(right, &weights, sizeof right);
      MultiplyAdd<T>(sums[j], ordered, right);
    }
  }
  const int column = first + quarter * 8;
  const bool packs = args.n % 8 == 0 && part.first % 8 == 0;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    if (row + half * 8 >= run.rows) continue;
    float added[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) added[i] = part.scale * sums[i / 2][half * 2 + i % 2];
    const int64_t at = (int64_t{run.first_row} + row + half * 8) * args.n + part.first + column;
    if (args.out_type == Type::kFloat32)
      AddTo(static_cast<float*>(args.out) + at, added, part.rows - column, packs);
    else
      AddTo(static_cast<T*>(args.out) + at, added, part.rows - column, packs);
  }
}

// A thread a column of the output.
__global__ void __launch_bounds__(kAdaptThreads) ExpandKernel(Mark mark, AdaptArgs args) {
  Leave(mark);
  const AdapterRun run = RunOf(args);
  if (run.rows == 0) return;
  const auto [part, b, first] = ExpandedOf<float>(args, run.adapter);
  if (part.rank == 0) return;
  const auto shrunk = Shared<float>(0, kAdaptedRows * part.rank);
  LoadShrunk(args, run, part, part.rank, shrunk);
  __syncthreads();
  const int column = first + threadIdx.x;
  if (column >= part.rows) return;
  const float* weights = b + static_cast<int64_t>(column) * part.rank;
  float sums[kAdaptedRows] = {};
  for (int k = 0; k < part.rank; ++k) {
    const float weight = weights[k];
#pragma unroll
    for (int r = 0; r < kAdaptedRows; ++r) sums[r] += shrunk[r * part.rank + k] * weight;
  }
  float* out = static_cast<float*>(args.out) + part.first + column;
#pragma unroll
  for (int r = 0; r < kAdaptedRows; ++r)
    if (r < run.rows) out[(int64_t{run.first_row} + r) * args.n] += part.scale * sums[r];
}

template <class T>
void LaunchShrink(const AdaptArgs& args, Stream stream) {
  const int columns = args.parts * args.rank;
  if constexpr (sizeof(T) == 2) {
    if (ShrinksOnTensorCores(args)) {
      const Dim3 grid(args.runs, CeilDiv(columns, kShrunkColumns) * ShrinkSpans(args));
      constexpr size_t kShared = kWarps * kAdaptedRows * kPartialStride * sizeof(float);
      return Launch("adapt, shrink on tensor cores", TensorShrinkKernel<T>, grid, kAdaptThreads,
                    kShared, stream, args);
    }
  }
  const Dim3 grid(args.runs, CeilDiv(columns, kWarps));
  Launch("adapt, shrink", ShrinkKernel<T>, grid, kAdaptThreads, 0, stream, args);
}

template <class T>
void LaunchExpand(const AdaptArgs& args, Stream stream) {
  const Dim3 grid(args.runs, ExpandBlocks(args));
  if constexpr (sizeof(T) == 2) {
    const size_t shared = kAdaptedRows * ShrunkStride(args.rank) * sizeof(T);
    Launch("adapt, expand on tensor cores", TensorExpandKernel<T>, grid, kAdaptThreads, shared,
           stream, args);
  } else {
    const size_t shared = kAdaptedRows * args.rank * sizeof(T);
    Launch("adapt, expand", ExpandKernel, grid, kAdaptThreads, shared, stream, args);
  }
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

size_t AdaptScratch(const AdaptArgs& args) {
  const auto columns = static_cast<size_t>(args.parts) * args.rank;
  return ShrinkSpans(args) * static_cast<size_t>(args.rows) * columns * sizeof(float);
}

void Adapt(const AdaptArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    LaunchShrink<T>(args, stream);
    LaunchExpand<T>(args, stream);
  });
}

}  // namespace octavo::cuda
