// Slots of mixtures of experts: which expert each is for, and where its row of the input is. As
// operands of the product on tensor cores (linear_tensor.cuh), those of an expert lie together.
#pragma once

#include "launchers.h"
#include "linear_tensor.cuh"
#include "platform.cuh"

namespace octavo::cuda {

__device__ __forceinline__ int ExpertOf(const ExpertLinearArgs& args, int slot) {
  const int row = slot / args.top_k, part = slot % args.top_k;
  if (args.routes == nullptr) return part;
  const float chosen = args.routes[static_cast<int64_t>(row) * 2 * args.top_k + part];
  return max(0, min(static_cast<int>(chosen), args.experts - 1));
}

// The element of the input at which a slot's row begins.
__device__ __forceinline__ int64_t SlotInputAt(const ExpertLinearArgs& args, int slot) {
  const int row = slot / args.top_k, part = slot % args.top_k;
  return static_cast<int64_t>(row) * args.input_cols + (args.split ? part * args.k : 0);
}

__device__ __forceinline__ const float* BiasOf(const ExpertLinearArgs& args, int expert) {
  return args.biases == nullptr ? nullptr : args.biases[expert];
}

// Slots in the order of their experts, cut into tiles of one expert each.
struct SlotTile {
  int32_t expert, first, count;  // of `slots`
};
struct SlotOrder {
  int32_t* tile_count;
  SlotTile* tiles;  // [MostTiles]
  int32_t* slots;   // [rows · top_k]
};

__host__ __device__ __forceinline__ int MostTiles(const ExpertLinearArgs& args) {
  const int slots = args.rows * args.top_k;
  return slots / tensor_linear::kRows + (slots < args.experts ? slots : args.experts);
}

// Within args.scratch.
__device__ __forceinline__ SlotOrder OrderOf(const ExpertLinearArgs& args) {
  auto* tiles = reinterpret_cast<SlotTile*>(args.scratch + 1);
  return {args.scratch, tiles, reinterpret_cast<int32_t*>(tiles + MostTiles(args))};
}

// Operands of linear_tensor.cuh.
struct SlotOperands {
  const ExpertLinearArgs& args;
  const void* weight;
  CodesView codes;
  const float* bias;
  int first_row, end;  // of `slots`
  const int32_t* slots;
  static constexpr bool wide = false;

  __device__ __forceinline__ int64_t InputAt(int row) const {
    return SlotInputAt(args, slots[row]);
  }
  __device__ __forceinline__ int64_t OutputAt(int row) const {
    return static_cast<int64_t>(slots[row]) * args.n;
  }
};
__device__ __forceinline__ SlotOperands OperandsOf(const ExpertLinearArgs& args) {
  const SlotOrder order = OrderOf(args);
  const int index = blockIdx.y;
  const SlotTile tile = index < *order.tile_count ? order.tiles[index] : SlotTile{0, 0, 0};
  const bool coded = args.codes != nullptr;
  return {args,
          coded ? nullptr : args.weights[tile.expert],
          coded ? args.codes[tile.expert] : CodesView{},
          BiasOf(args, tile.expert),
          tile.first,
          tile.first + tile.count,
          order.slots};
}

}  // namespace octavo::cuda
