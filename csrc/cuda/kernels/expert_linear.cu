// The matrices of experts, and a matrix a head, of numbers or of codes. A warp a column of one slot
// where slots are few; tiles of slots that share an expert, on tensor cores, where they are many.
#include "codes.cuh"
#include "dispatch.h"
#include "expert_slots.cuh"
#include "launchers.h"
#include "matrix_column.cuh"

namespace octavo::cuda {
namespace {

// A warp a column of a slot.
template <class Column>
__global__ void __launch_bounds__(kColumnsABlock* kWarp)
    SlotKernel(Mark mark, ExpertLinearArgs args) {
  Leave(mark);
  using T = typename Column::Element;
  const int column = blockIdx.y * kColumnsABlock + threadIdx.x / kWarp;
  if (column >= args.n) return;
  const int slot = blockIdx.x, expert = ExpertOf(args, slot);
  const T* inputs[1] = {static_cast<const T*>(args.input) + SlotInputAt(args, slot)};
  float sums[1];
  Multiply(Column(args, expert, column), args.k, inputs, sums);
  if (threadIdx.x % kWarp != 0) return;
  const float* bias = BiasOf(args, expert);
  if (bias != nullptr) sums[0] += bias[column];
  static_cast<T*>(args.out)[static_cast<int64_t>(slot) * args.n + column] = Rounded<T>(sums[0]);
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
  Launch("expert linear, tensor cores", Kernel<T, kCoded, ExpertLinearArgs>, grid,
         tensor_linear::kThreads, kStages * kStageElements * sizeof(T), stream, args);
}

template <class T>
void LaunchSlots(const ExpertLinearArgs& args, Stream stream) {
  const Dim3 grid(args.rows * args.top_k, CeilDiv(args.n, kColumnsABlock));
  const auto launch = [&](auto kernel) {
    Launch("expert linear", kernel, grid, kColumnsABlock * kWarp, 0, stream, args);
  };
  const auto choose = [&](auto whole, auto odd) {
    constexpr int kEach = decltype(whole)::Element::kEach;
    const bool packs = args.k % kEach == 0 && args.input_cols % kEach == 0;
    packs ? launch(SlotKernel<typename decltype(whole)::Element>)
          : launch(SlotKernel<typename decltype(odd)::Element>);
  };
  if (args.codes != nullptr)
    choose(TypeTag<CodeColumn<T, true>>(), TypeTag<CodeColumn<T, false>>());
  else
    choose(TypeTag<NumberColumn<T, kPackOf<T>>>(), TypeTag<NumberColumn<T, 1>>());
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
