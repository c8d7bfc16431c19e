// Attention on tensor cores, after FlashAttention-2, over the block table. The rows of a tile are
// pairs of a token and one of the query heads that share a key/value head, so that keys and values
// are read once a group. Two layouts of one kernel:
//   prefill  each warp takes 16 rows of the tile and all of its tokens
//   decode   one token: all warps take the same rows, and each a part of every tile of tokens; the
//            context is cut into parts, a block each, which a second kernel folds
// Keys and values arrive by asynchronous copies, two tiles deep (attention_tiles.cuh).
#pragma once

#include "attention_states.cuh"
#include "attention_tiles.cuh"
#include "dispatch.h"

namespace octavo::cuda {
namespace tensor_attention {

template <class L, class T>
__device__ __forceinline__ void CopyQueries(const AttentionArgs& args, const Work& work,
                                            SharedArray<T> to) {
  constexpr int kChunks = L::kDim / 8;
#pragma unroll 1  // once a block
  for (int i = threadIdx.x; i < L::kRows * kChunks; i += L::kThreads) {
    const int pair = i / kChunks, d = i % kChunks * 8;
    const bool inside = pair < work.rows;
    const int64_t head =
        inside ? static_cast<int64_t>(RowOf(work, pair)) * args.heads + HeadOf(work, pair) : 0;
    CopyAsync(to + (pair * L::kStride + d), static_cast<const T*>(args.input) + head * L::kDim + d,
              inside);
  }
}

// What one row sees: tokens from `first` to `end` of its part of those before `limit`.
struct Seen {
  int first, end, limit;
  float slope;
};

template <class L, class T>
__device__ __forceinline__ void Score(const SharedArray<T>& queries, const SharedArray<T>& keys,
                                      float (&scores)[L::kWarpTokens / 8][4]) {
  const int lane = threadIdx.x % kWarp;
  const LaneTile left = LeftTile(lane), right = RightTile(lane);
#pragma unroll
  for (int d = 0; d < L::kDim; d += 16) {
    uint32_t a[4];
    LoadMatrix(a, queries + (left.row * L::kStride + d + left.column));
#pragma unroll
    for (int t = 0; t < L::kWarpTokens / 16; ++t) {
      uint32_t b[4];
      LoadMatrix(b, keys + ((t * 16 + right.row) * L::kStride + d + right.column));
      MultiplyAdd<T>(scores[2 * t], a, b);
      MultiplyAdd<T>(scores[2 * t + 1], a, b + 2);
    }
  }
}

// What products with keys count, in base 2; tokens that a row may not see count nothing.
template <class L>
__device__ __forceinline__ void Hide(const AttentionArgs& args, const Seen (&seen)[2],
                                     int first_token, float (&scores)[L::kWarpTokens / 8][4]) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half)
#pragma unroll
    for (int j = 0; j < L::kWarpTokens / 8; ++j)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int token = first_token + j * 8 + lane % 4 * 2 + e;
        float& score = scores[j][half * 2 + e];
        const bool visible = token >= seen[half].first && token < seen[half].end;
        score = visible ? ScoreOf(args, score, seen[half].slope, token, seen[half].limit) : kLowest;
      }
}

template <class L, class T>
__global__ void __launch_bounds__(L::kThreads, L::kLeastBlocks)
    Kernel(Mark mark, AttentionArgs args, Divisor group, bool lone) {
  Leave(mark);
  const DeviceStep& step = *args.step;
  const int index = blockIdx.x;
  if (index >= (lone ? step.decode_count : step.tile_count)) return;
  Work work;
  work.tile = (lone ? step.decodes : step.tiles)[index];
  work.kv_head = blockIdx.y;
  work.group = group;
  work.rows = work.tile.rows * work.group;
  work.table = TableOf(step, args.cache, work.tile.sequence);
  // Tiles of a prompt's keys begin at the same tokens whichever rows are together.
  int first = FirstSeen(args, work.tile.first_limit);
  if (!L::kDecode) first -= first % L::kTokens;
  const int limit = work.tile.first_limit + work.tile.rows - 1;
  const int span = !L::kDecode && args.by_spans ? SpanOf(work.tile.first_limit) : 0;
  if (!L::kDecode && lone) {
    const int begin = static_cast<int>(blockIdx.z) * span;
    work.part = {max(first, begin), min(limit, begin + span)};
    if (work.part.begin >= work.part.end) return;
  } else {
    work.part = PartOf(first, limit, blockIdx.z, L::kDecode ? args.splits : 1, L::kTokens);
  }

  const auto queries = Shared<T>(0, L::kRows * L::kStride);
  const Tiles<L, T> tiles;
  CopyQueries<L>(args, work, queries);

  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int first_pair = L::kDecode ? 0 : warp * 16;
  const int warp_token = L::kDecode ? warp * L::kWarpTokens : 0;
  Seen seen[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int pair = first_pair + lane / 4 + half * 8;
    const int limit = work.tile.first_limit + pair / work.group;
    const float slope = pair < work.rows ? SlopeOf(args, HeadOf(work, pair)) : 0;
    seen[half] = {FirstSeen(args, limit), min(work.part.end, limit), limit, slope};
  }
  States<L> states;
  float* kept =
      args.partials + threadIdx.x +
      (static_cast<int64_t>(index) * args.cache.kv_heads + work.kv_head) * KeptFloats(L::kDim);
  bool folded = false;
  for (int token = work.part.begin - L::kTokens, stage = 1; token < work.part.end;
       token += L::kTokens, stage ^= 1) {
    tiles.Copy(args, work, token + L::kTokens, stage ^ 1);
    if (token < work.part.begin) continue;  // the first turn, which only copies
    WaitForCopies<1>();
    __syncthreads();
    tiles.Convert(args.cache.type, stage);
    if (first_pair < work.rows) {
      const int tile = warp_token * L::kStride;
      float scores[L::kWarpTokens / 8][4] = {};
      Score<L, T>(queries + first_pair * L::kStride, tiles.Keys(stage) + tile, scores);
      Hide<L>(args, seen, token + warp_token, scores);
      Weigh<L>(scores, &states);
      AddValues<L, T>(scores, tiles.Values(stage) + tile, &states);
    }
    __syncthreads();
    if constexpr (!L::kDecode) {
      const int next = token + L::kTokens;
      const bool last = next >= work.part.end;
      if (!last && (lone || span == 0 || next % span != 0)) continue;
      AddLanes(&states);
      if (!last || folded) FoldSpan(kept, !folded, last, &states);
      folded = true;
    }
  }
  WaitForCopies<0>();
  if constexpr (L::kDecode) {
    AddLanes(&states);
    __syncthreads();
    MergeWarps<L, T>(args, work, states);
  } else {
    if (lone && args.splits > 1)
      WritePartials(args, work, first_pair, states);
    else
      WriteRows<L, T>(args, work, first_pair, states);
  }
}

// Of `tiles`, or of the `lone` tokens of `decodes`.
template <class L, class T>
void LaunchLayout(const AttentionArgs& args, bool lone, Stream stream) {
  const Dim3 grid(lone ? args.decodes : args.tiles, args.cache.kv_heads, lone ? args.splits : 1);
  Launch(L::kDecode ? "attention, decode" : "attention, prefill", Kernel<L, T>, grid, L::kThreads,
         L::kSharedBytes, stream, args, args.heads / args.cache.kv_heads, lone);
}

// Calls body(Dim) where Dim::value is the head size, if there are kernels for it.
template <class Body>
bool ForDim(int dim, const Body& body) {
  switch (dim) {
    case 64: return body(std::integral_constant<int, 64>()), true;
    case 80: return body(std::integral_constant<int, 80>()), true;
    case 96: return body(std::integral_constant<int, 96>()), true;
    case 128: return body(std::integral_constant<int, 128>()), true;
    case 256: return body(std::integral_constant<int, 256>()), true;
    default: return false;
  }
}

}  // namespace tensor_attention

// Activations of T over a cache of T or, kBytes, of elements of 8 bits.
template <class T, bool kBytes>
void LaunchTensorAttention(const AttentionArgs& args, Stream stream) {
  using namespace tensor_attention;
  ForDim(args.cache.key_dim, [&](auto dim) {
    if (args.tiles > 0) LaunchLayout<Prefill<dim(), kBytes>, T>(args, false, stream);
    if (args.decodes == 0) return;
    args.by_spans ? LaunchLayout<Prefill<dim(), kBytes>, T>(args, true, stream)
                  : LaunchLayout<Decode<dim(), kBytes>, T>(args, true, stream);
  });
}

// Over a cache with elements of 8 bits (attention_bytes.cu).
void LaunchTensorAttentionOfBytes(const AttentionArgs& args, Stream stream);

}  // namespace octavo::cuda
