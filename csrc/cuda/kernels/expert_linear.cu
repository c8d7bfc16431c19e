// The matrices of experts, and a matrix a head, of numbers or of codes. A warp a column of one slot
// where slots are few; tiles of slots that share an expert, on tensor cores, where they are many.
#include "codes.cuh"
#include "dispatch.h"
#include "expert_slots.cuh"
#include "launchers.h"
#include "warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kColumnsABlock = 4;

template <class T>
__device__ __forceinline__ void StoreSlot(const ExpertLinearArgs& args, int slot, int expert,
                                          int column, float sum) {
  const float* bias = BiasOf(args, expert);
  if (bias != nullptr) sum += bias[column];
  static_cast<T*>(args.out)[static_cast<int64_t>(slot) * args.n + column] = Rounded<T>(sum);
}

template <class T, int kCount>
__global__ void __launch_bounds__(kColumnsABlock* kWarp)
    ExpertKernel(Mark mark, ExpertLinearArgs args) {
  Leave(mark);
  const int lane = threadIdx.x % kWarp;
  const int column = blockIdx.y * kColumnsABlock + threadIdx.x / kWarp;
  if (column >= args.n) return;
  const int slot = blockIdx.x, expert = ExpertOf(args, slot);
  const T* weight =
      static_cast<const T*>(args.weights[expert]) + static_cast<int64_t>(column) * args.k;
  const T* input = static_cast<const T*>(args.input) + SlotInputAt(args, slot);
  float sum = 0;
#pragma unroll 4
  for (int k = lane * kCount; k < args.k; k += kWarp * kCount) {
    const auto w = LoadPack<kCount>(weight + k);
    const auto x = LoadPack<kCount>(input + k);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum += ToFloat(x.at[j]) * ToFloat(w.at[j]);
  }
  sum = ReduceWarp(sum, Add());
  if (lane == 0) StoreSlot<T>(args, slot, expert, column, sum);
}

template <class T, bool kAligned>
__global__ void __launch_bounds__(kColumnsABlock* kWarp)
    ExpertCodesKernel(Mark mark, ExpertLinearArgs args) {
  Leave(mark);
  const int lane = threadIdx.x % kWarp;
  const int column = blockIdx.y * kColumnsABlock + threadIdx.x / kWarp;
  if (column >= args.n) return;
  const int slot = blockIdx.x, expert = ExpertOf(args, slot);
  const CodesView codes = args.codes[expert];
  const T* input = static_cast<const T*>(args.input) + SlotInputAt(args, slot);
  float sum = 0;
#pragma unroll 2
  for (int k = lane * kCodes; k < args.k; k += kWarp * kCodes) {
    float w[kCodes], x[kCodes];
    Decode(codes, column, k, args.k, w);
    LoadInputs<T, kAligned>(input + k, args.k - k, x);
#pragma unroll
    for (int j = 0; j < kCodes; ++j) sum += x[j] * w[j];
  }
  sum = ReduceWarp(sum, Add());
  if (lane == 0) StoreSlot<T>(args, slot, expert, column, sum);
}

constexpr int kOrderThreads = 512;

// One block puts all slots in the order of their experts; within an expert's any order is right.
__global__ void __launch_bounds__(kOrderThreads) OrderKernel(Mark mark, ExpertLinearArgs args) {
  Leave(mark);
  const auto next = Shared<int32_t>(0, args.experts);  // counts, then the place of the next slot
  const SlotOrder order = OrderOf(args);
  const int slots = args.rows * args.top_k;
  for (int e = threadIdx.x; e < args.experts; e += kOrderThreads) next[e] = 0;
  __syncthreads();
  for (int slot = threadIdx.x; slot < slots; slot += kOrderThreads)
    AtomicAdd(next + ExpertOf(args, slot), 1);
  __syncthreads();
  if (threadIdx.x == 0) {
    int tiles = 0, begin = 0;
    for (int e = 0; e < args.experts; ++e) {
      const int end = begin + next[e];
      next[e] = begin;
      for (; begin < end; begin = min(end, begin + tensor_linear::kRows))
        order.tiles[tiles++] = {e, begin, min(tensor_linear::kRows, end - begin)};
    }
    *order.tile_count = tiles;
  }
  __syncthreads();
  for (int slot = threadIdx.x; slot < slots; slot += kOrderThreads)
    order.slots[AtomicAdd(next + ExpertOf(args, slot), 1)] = slot;
}

constexpr int kThreads = 256;

// A block a slot.
template <class T>
__global__ void __launch_bounds__(kThreads)
    ReorderKernel(Mark mark, ExpertLinearArgs args, const CodesView* views, void* out) {
  Leave(mark);
  const int slot = blockIdx.x;
  const int32_t* order = views[ExpertOf(args, slot)].order;
  const T* from = static_cast<const T*>(args.input) + SlotInputAt(args, slot);
  T* to = static_cast<T*>(out) + static_cast<int64_t>(slot) * args.k;
  for (int c = threadIdx.x; c < args.k; c += kThreads)
    to[c] = from[order == nullptr ? c : order[c]];
}

template <class T, bool kCoded>
void LaunchGrouped(const ExpertLinearArgs& args, Stream stream) {
  using namespace tensor_linear;
  Launch("slots by expert", OrderKernel, 1, kOrderThreads, sizeof(int32_t) * args.experts, stream,
         args);
  const Dim3 grid(CeilDiv(args.n, kColumns), MostTiles(args));
  Launch("expert linear, tensor cores", Kernel<T, T, kCoded, ExpertLinearArgs>, grid,
         tensor_linear::kThreads, kStages * kStageElements * sizeof(T), stream, args);
}

template <class T>
void LaunchSlots(const ExpertLinearArgs& args, Stream stream) {
  const Dim3 grid(args.rows * args.top_k, CeilDiv(args.n, kColumnsABlock));
  const auto launch = [&](auto kernel) {
    Launch("expert linear", kernel, grid, kColumnsABlock * kWarp, 0, stream, args);
  };
  constexpr int kPack = kPackOf<T>;
  const auto whole = [&](int pack) { return args.k % pack == 0 && args.input_cols % pack == 0; };
  if (args.codes != nullptr)
    whole(kCodes) ? launch(ExpertCodesKernel<T, true>) : launch(ExpertCodesKernel<T, false>);
  else
    whole(kPack) ? launch(ExpertKernel<T, kPack>) : launch(ExpertKernel<T, 1>);
}

// With more slots than experts, one weight serves several.
bool WantsGroups(const ExpertLinearArgs& args) {
  return args.one_path || args.rows * args.top_k > args.experts;
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

size_t ExpertScratch(const ExpertLinearArgs& args) {
  const auto tiles = static_cast<size_t>(MostTiles(args)) * sizeof(SlotTile);
  return sizeof(int32_t) * (1 + static_cast<size_t>(args.rows) * args.top_k) + tiles;
}

void ExpertLinear(const ExpertLinearArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    if constexpr (sizeof(T) == 2) {
      constexpr int kPack = kPackOf<T>;
      const bool whole = args.k % kPack == 0 && args.input_cols % kPack == 0;
      if (whole && WantsGroups(args))
        return args.codes != nullptr ? LaunchGrouped<T, true>(args, stream)
                                     : LaunchGrouped<T, false>(args, stream);
    }
    LaunchSlots<T>(args, stream);
  });
}

void ReorderInputs(const ExpertLinearArgs& args, const CodesView* views, void* out, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("inputs in another order", ReorderKernel<T>, args.rows * args.top_k, kThreads, 0, stream,
           args, views, out);
  });
}

}  // namespace octavo::cuda
