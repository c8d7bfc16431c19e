// Attention over latent rows on tensor cores: 512 columns and 64 turned ones, as DeepSeek's models
// have them, of elements with 16 bits. A block takes one token row, 16 of its heads and one part of
// the context. Its warps share the work on a tile of tokens: each multiplies the queries with eight
// tokens of it and leaves the scores in shared memory, and, once all are there, weighs a quarter of
// the values' columns. A tile arrives while the one before is worked on.
#pragma once

#include "attention_states.cuh"
#include "dispatch.h"

namespace octavo::cuda {
namespace latent_attention {

using tensor_attention::AddValues;
using tensor_attention::States;
using tensor_attention::Weigh;

constexpr int kRank = 512, kKeyDim = kRank + 64;
constexpr int kWarps = 4, kThreads = kWarps * kWarp, kHeads = 16, kTokens = 32;
constexpr int kStride = kKeyDim + 8, kScoreStride = kTokens + 4;  // in different banks
constexpr int kTilesAt = kHeads * kStride, kTileElements = kTokens * kStride;
constexpr int kScoresAt = (kTilesAt + 2 * kTileElements) * 2;  // bytes, as all below
constexpr size_t kSharedBytes = kScoresAt + kHeads * kScoreStride * sizeof(float);
static_assert(kSharedBytes <= 99 << 10, "sm_89 has no more");
static_assert(kLeastSpan % kTokens == 0, "tiles end where spans do");

// What a warp adds up: its columns of the values, by the weights of all tokens of a tile.
struct OfWarp {
  static constexpr int kDim = kRank / kWarps, kWarpTokens = kTokens;
  static constexpr int kStride = latent_attention::kStride;
};

template <class T>
__device__ __forceinline__ SharedArray<T> Tile(int stage) {
  return Shared<T>(sizeof(T) * (kTilesAt + stage * kTileElements), kTileElements);
}

// Heads beyond the last are zeros.
template <class T>
__device__ __forceinline__ void CopyQueries(const AttentionArgs& args, int row, int first_head) {
  constexpr int kChunks = kKeyDim / 8;
  const auto to = Shared<T>(0, kHeads * kStride);
  const T* from =
      static_cast<const T*>(args.input) + static_cast<int64_t>(row) * args.heads * kKeyDim;
  for (int i = threadIdx.x; i < kHeads * kChunks; i += kThreads) {
    const int head = first_head + i / kChunks, d = i % kChunks * 8;
    const bool inside = head < args.heads;
    CopyAsync(to + (i / kChunks * kStride + d), from + (inside ? head : 0) * kKeyDim + d, inside);
  }
}

// The tile of tokens from `first` on. Tokens beyond the part are zeros: what their slots hold may
// be no numbers.
template <class T>
__device__ __forceinline__ void CopyTile(const AttentionArgs& args, const int32_t* table,
                                         const Part& part, int first, SharedArray<T> to) {
  constexpr int kChunks = kKeyDim / 8;
  if (first < part.end) {
    for (int i = threadIdx.x; i < kTokens * kChunks; i += kThreads) {
      const int token = first + i / kChunks, d = i % kChunks * 8;
      const bool inside = token < part.end;
      const Slot slot = SlotAt(args.cache, table, inside ? token : part.begin);
      CopyAsync(to + (i / kChunks * kStride + d), KeyRow<const T>(args.cache, slot, 0) + d, inside);
    }
  }
  CommitCopies();
}

// The products of all heads with eight tokens: four sums of every fourth 16 columns each, so that
// their additions need not wait for each other.
template <class T>
__device__ __forceinline__ void Multiply(const SharedArray<T>& tokens, float (&products)[4]) {
  const int lane = threadIdx.x % kWarp;
  const LaneTile left = LeftTile(lane);
  const auto queries = Shared<T>(0, kHeads * kStride) + (left.row * kStride + left.column);
  const auto keys = tokens + (lane % 8 * kStride + lane / 8 * 8);
  float sums[4][4] = {};
#pragma unroll
  for (int d = 0; d < kKeyDim; d += 32) {
    uint32_t a[4], b[4];
    LoadMatrix(b, keys + d);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      LoadMatrix(a, queries + (d + half * 16));
      MultiplyAdd<T>(sums[(d / 16 + half) % 4], a, b + half * 2);
    }
  }
#pragma unroll
  for (int e = 0; e < 4; ++e) products[e] = (sums[0][e] + sums[1][e]) + (sums[2][e] + sums[3][e]);
}

// What the row sees: tokens from `first` on, of those before `limit`.
struct View {
  int first, limit;
  float slopes[2];  // of heads lane / 4 and the one eight further on
};

__device__ __forceinline__ void LeaveScores(const AttentionArgs& args, const View& view, int end,
                                            int first_token, const float (&products)[4]) {
  const auto scores = Shared<float>(kScoresAt, kHeads * kScoreStride);
  const int lane = threadIdx.x % kWarp, column = threadIdx.x / kWarp * 8 + lane % 4 * 2;
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const int token = first_token + column + e % 2;
    const bool visible = token >= view.first && token < end;
    scores[(lane / 4 + e / 2 * 8) * kScoreStride + column + e % 2] =
        visible ? ScoreOf(args, products[e], view.slopes[e / 2], token, view.limit) : kLowest;
  }
}

__device__ __forceinline__ void TakeScores(float (&to)[kTokens / 8][4]) {
  const auto scores = Shared<float>(kScoresAt, kHeads * kScoreStride);
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int j = 0; j < kTokens / 8; ++j)
#pragma unroll
    for (int e = 0; e < 4; ++e)
      to[j][e] = scores[(lane / 4 + e / 2 * 8) * kScoreStride + j * 8 + lane % 4 * 2 + e % 2];
}

// Adds the states of a span to those before, and clears them.
__device__ __forceinline__ void Keep(States<OfWarp>* states, States<OfWarp>* kept) {
  AddLanes(states);
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const Merge merge(&kept->maximum[half], states->maximum[half]);
    kept->sum[half] = merge(kept->sum[half], states->sum[half]);
#pragma unroll
    for (int j = 0; j < OfWarp::kDim / 8; ++j)
#pragma unroll
      for (int e = half * 2; e < half * 2 + 2; ++e)
        kept->values[j][e] = merge(kept->values[j][e], states->values[j][e]);
  }
  *states = {};
}

// Writes a warp's columns of the heads that a lane holds or, where contexts are cut, their states.
template <class T>
__device__ __forceinline__ void Write(const AttentionArgs& args, int row, int first_head,
                                      const States<OfWarp>& kept) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int head = first_head + lane / 4 + half * 8;
    if (head >= args.heads) continue;
    float* partial = args.splits > 1 ? PartialOf(args, row, head, blockIdx.z) : nullptr;
    if (partial != nullptr && warp == 0 && lane % 4 == 0) {
      partial[0] = kept.maximum[half];
      partial[1] = kept.sum[half];
    }
    const float scale = Normalizer(args, head, kept.maximum[half], kept.sum[half]);
#pragma unroll
    for (int j = 0; j < OfWarp::kDim / 8; ++j) {
      const int d = warp * OfWarp::kDim + j * 8 + lane % 4 * 2;
      const float low = kept.values[j][half * 2], high = kept.values[j][half * 2 + 1];
      if (partial != nullptr) {
        partial[kStateFloats + d] = low;
        partial[kStateFloats + d + 1] = high;
      } else {
        const Pack<T, 2> pair = {{Rounded<T>(low * scale), Rounded<T>(high * scale)}};
        StorePack(pair, OutputOf<T>(args, row, head) + d);
      }
    }
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads) Kernel(Mark mark, AttentionArgs args) {
  Leave(mark);
  const DeviceStep& step = *args.step;
  const int row = blockIdx.x, first_head = blockIdx.y * kHeads;
  if (row >= step.tokens) return;
  const int sequence = step.sequence_of_row[row];
  const int32_t* table = TableOf(step, args.cache, sequence);
  const int limit = LimitOf(step, sequence, row), first = FirstSeen(args, limit);
  const SpanWork work = SpanWorkOf(args, first - first % kTokens, limit, kTokens);
  if (work.span == 0) return;
  const Part& part = work.part;

  CopyQueries<T>(args, row, first_head);
  CopyTile(args, table, part, part.begin, Tile<T>(0));
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  View view = {first, limit, {}};
#pragma unroll
  for (int half = 0; half < 2; ++half)
    view.slopes[half] = SlopeOf(args, min(first_head + lane / 4 + half * 8, args.heads - 1));
  States<OfWarp> states, kept;
  for (int token = part.begin, stage = 0; token < part.end; token += kTokens, stage ^= 1) {
    WaitForCopies<0>();
    __syncthreads();  // and nobody reads the tile before any more
    CopyTile(args, table, part, token + kTokens, Tile<T>(stage ^ 1));
    float products[4], scores[kTokens / 8][4];
    Multiply(Tile<T>(stage) + warp * 8 * kStride, products);
    LeaveScores(args, view, part.end, token, products);
    __syncthreads();
    TakeScores(scores);
    Weigh<OfWarp>(scores, &states);
    AddValues<OfWarp, T>(scores, Tile<T>(stage) + warp * OfWarp::kDim, &states);
    if (token + kTokens >= SpanEnd(work, token)) Keep(&states, &kept);
  }
  WaitForCopies<0>();
  Write<T>(args, row, first_head, kept);
}

}  // namespace latent_attention

// Whether it serves this cache and these activations.
inline bool HasTensorLatent(const AttentionArgs& args) {
  const CacheView& cache = args.cache;
  const bool types = (args.type == Type::kBFloat16 && cache.type == CacheType::kBFloat16) ||
                     (args.type == Type::kFloat16 && cache.type == CacheType::kFloat16);
  return types && cache.value_dim == latent_attention::kRank &&
         cache.key_dim == latent_attention::kKeyDim;
}

inline void LaunchTensorLatent(const AttentionArgs& args, Stream stream) {
  using namespace latent_attention;
  const Dim3 grid(args.rows, CeilDiv(args.heads, kHeads), args.splits);
  const auto kernel = args.type == Type::kBFloat16 ? Kernel<BFloat16> : Kernel<Float16>;
  Launch("attention, latent on tensor cores", kernel, grid, kThreads, kSharedBytes, stream, args);
}

}  // namespace octavo::cuda
