// Attention on tensor cores, after FlashAttention-2, over the block table. The rows of a tile are
// pairs of a token and one of the query heads that share a key/value head, so that keys and values
// are read once a group. Two layouts of one kernel:
//   prefill  each warp takes 16 rows of the tile and all of its tokens
//   decode   one token: all warps take the same rows, and each a part of every tile of tokens; the
//            context is cut into parts, a block each, which a second kernel folds
// Keys and values arrive by asynchronous copies, two tiles deep. Elements have 16 bits; those of a
// cache of 8 bits are converted once a tile, from where the copies leave them.
#pragma once

#include "attention.cuh"
#include "dispatch.h"
#include "tensor_core.cuh"

namespace octavo::cuda {
namespace tensor_attention {

// `kBytes`: the cache has elements of 8 bits.
template <int kHeadDim, int kWarpCount, int kTokenCount, bool kIsDecode, bool kBytes>
struct Layout {
  static constexpr int kDim = kHeadDim, kWarps = kWarpCount, kTokens = kTokenCount;
  static constexpr bool kDecode = kIsDecode;
  static constexpr int kThreads = kWarps * kWarp;
  // Of a multiprocessor; 0: as the compiler finds best, which with conversions would spill.
  static constexpr int kLeastBlocks = kBytes ? 2 : 0;
  static constexpr int kRows = kDecode ? 16 : 16 * kWarps;
  static constexpr int kWarpTokens = kDecode ? kTokens / kWarps : kTokens;
  static constexpr int kStride = kDim + 8;  // eight rows of a matrix lie in different banks
  static constexpr int kTileElements = kTokens * kStride;
  static constexpr int kTiles = kBytes ? 1 : 2;  // of keys, and of values
  static constexpr int kElements = kRows * kStride + 2 * kTiles * kTileElements;
  static constexpr int kRawTile = kTokens * kDim;  // bytes of keys, or of values, of 8 bits
  static constexpr int kRawAt = kElements * 2, kScalesAt = kRawAt + 4 * kRawTile;
  static constexpr int kCopyBytes = kBytes ? kScalesAt + 4 * kTokens * 4 : kElements * 2;
  static constexpr int kMergeFloats = kDecode ? kWarps * 16 * (kStateFloats + kDim) : 0;
  static constexpr size_t kSharedBytes =
      kCopyBytes > kMergeFloats * 4 ? kCopyBytes : kMergeFloats * 4;
};

template <int kDim, bool kBytes>
using Prefill = Layout<kDim, 4, (kDim > 128 ? 32 : 64), false, kBytes>;
template <int kDim, bool kBytes>
using Decode = Layout<kDim, (kDim > 128 ? 2 : 4), (kDim > 128 ? 32 : 64), true, kBytes>;

// One block's work.
struct Work {
  AttentionTile tile;
  const int32_t* table;
  int kv_head, group, rows;  // rows: pairs of token and head
  Part part;
};

// The token row and head of pair `pair` of the tile.
__device__ __forceinline__ int RowOf(const Work& work, int pair) {
  return work.tile.first_row + pair / work.group;
}
__device__ __forceinline__ int HeadOf(const Work& work, int pair) {
  return work.kv_head * work.group + pair % work.group;
}

template <class L, class T>
__device__ __forceinline__ void CopyQueries(const AttentionArgs& args, const Work& work,
                                            SharedArray<T> to) {
  constexpr int kChunks = L::kDim / 8;
  for (int i = threadIdx.x; i < L::kRows * kChunks; i += L::kThreads) {
    const int pair = i / kChunks, d = i % kChunks * 8;
    const bool inside = pair < work.rows;
    const int64_t head =
        inside ? static_cast<int64_t>(RowOf(work, pair)) * args.heads + HeadOf(work, pair) : 0;
    CopyAsync(to + (pair * L::kStride + d), static_cast<const T*>(args.input) + head * L::kDim + d,
              inside);
  }
}

// Rows of C, `stride` elements apart. Tokens beyond the part are zeros: what their slots hold may
// be no numbers.
template <class L, class C>
__device__ __forceinline__ void CopyTokens(const AttentionArgs& args, const Work& work,
                                           int first_token, int stride, SharedArray<C> keys,
                                           SharedArray<C> values) {
  constexpr int kChunks = L::kDim / kPackOf<C>;
  for (int i = threadIdx.x; i < L::kTokens * kChunks; i += L::kThreads) {
    const int token = first_token + i / kChunks, d = i % kChunks * kPackOf<C>;
    const bool inside = token < work.part.end;
    const Slot slot = SlotAt(args.cache, work.table, inside ? token : work.part.begin);
    const int to = i / kChunks * stride + d;
    CopyAsync(keys + to, KeyRow<const C>(args.cache, slot, work.kv_head) + d, inside);
    CopyAsync(values + to, ValueRow<const C>(args.cache, slot, work.kv_head) + d, inside);
  }
}

// The scales of those rows, first of the keys and then of the values.
template <class L>
__device__ __forceinline__ void CopyScales(const AttentionArgs& args, const Work& work,
                                           int first_token, SharedArray<float> to) {
  for (int i = threadIdx.x; i < L::kTokens; i += L::kThreads) {
    const bool inside = first_token + i < work.part.end;
    const Slot slot = SlotAt(args.cache, work.table, inside ? first_token + i : work.part.begin);
    const float* key = KeyScale(args.cache, slot, work.kv_head);
    const float* value = ValueScale(args.cache, slot, work.kv_head);
    CopyAsync<sizeof(float)>(to + i, key, inside);
    CopyAsync<sizeof(float)>(to + (L::kTokens + i), value, inside);
  }
}

// Rows of 8 bits, and their scales, as elements of T.
template <class L, class T, class C>
__device__ __forceinline__ void ConvertTile(const SharedArray<Pack<C, 8>>& from,
                                            const SharedArray<float>& scales,
                                            const SharedArray<Pack<T, 8>>& to) {
  constexpr int kChunks = L::kDim / 8;
#pragma unroll 1
  for (int i = threadIdx.x; i < L::kTokens * kChunks; i += L::kThreads) {
    const int token = i / kChunks;
    const float scale = kScaled<C> ? float(scales[token]) : 1;
    const Pack<C, 8> codes = from[i];
    Pack<T, 8> numbers;
#pragma unroll
    for (int j = 0; j < 8; ++j) numbers.at[j] = Rounded<T>(ToFloat(codes.at[j]) * scale);
    to[token * (L::kStride / 8) + i % kChunks] = numbers;
  }
}

// What one row sees: tokens from `first` to `end` of its part of those before `limit`.
struct Seen {
  int first, end, limit;
  float slope;
};

// The softmax states of a warp's 16 rows. A lane holds row lane / 4 and the one eight further on,
// and of the values columns 8j + 2 · (lane % 4) and the next.
template <class L>
struct States {
  float maximum[2] = {kLowest, kLowest}, sum[2] = {};  // sum: of this lane's columns only
  float values[L::kDim / 8][4] = {};
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

// Scales, hides tokens that a row may not see, and turns scores into weights of the states.
template <class L>
__device__ __forceinline__ void Weigh(const AttentionArgs& args, const Seen (&seen)[2],
                                      int first_token, float (&scores)[L::kWarpTokens / 8][4],
                                      States<L>* states) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    float largest = states->maximum[half];
#pragma unroll
    for (int j = 0; j < L::kWarpTokens / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int token = first_token + j * 8 + lane % 4 * 2 + e;
        float& score = scores[j][half * 2 + e];
        const bool visible = token >= seen[half].first && token < seen[half].end;
        score = visible ? ScoreOf(args, score, seen[half].slope, token, seen[half].limit) : kLowest;
        largest = fmaxf(largest, score);
      }
    }
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 1));
    largest = fmaxf(largest, __shfl_xor_sync(kAllLanes, largest, 2));
    const float kept = Rescale(states->maximum[half], largest);
    const float shift = largest == kLowest ? 0 : largest;
    states->maximum[half] = largest;
    states->sum[half] *= kept;
#pragma unroll
    for (int j = 0; j < L::kDim / 8; ++j) {
      states->values[j][half * 2] *= kept;
      states->values[j][half * 2 + 1] *= kept;
    }
#pragma unroll
    for (int j = 0; j < L::kWarpTokens / 8; ++j) {
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        float& score = scores[j][half * 2 + e];
        score = exp2f(score - shift);
        states->sum[half] += score;
      }
    }
  }
}

// The weights, as results of one product hold them, are the left operand of the next.
template <class L, class T>
__device__ __forceinline__ void AddValues(const float (&weights)[L::kWarpTokens / 8][4],
                                          const SharedArray<T>& values, States<L>* states) {
  const LaneTile tile = LeftTile(threadIdx.x % kWarp);
#pragma unroll
  for (int t = 0; t < L::kWarpTokens / 16; ++t) {
    const float (&low)[4] = weights[2 * t], (&high)[4] = weights[2 * t + 1];
    const uint32_t a[4] = {PackPair<T>(low[0], low[1]), PackPair<T>(low[2], low[3]),
                           PackPair<T>(high[0], high[1]), PackPair<T>(high[2], high[3])};
#pragma unroll
    for (int d = 0; d < L::kDim; d += 16) {
      uint32_t b[4];
      LoadMatrixTransposed(b, values + ((t * 16 + tile.row) * L::kStride + d + tile.column));
      MultiplyAdd<T>(states->values[d / 8], a, b);
      MultiplyAdd<T>(states->values[d / 8 + 1], a, b + 2);
    }
  }
}

// Writes 16 rows of a tile from a warp's states.
template <class L, class T>
__device__ __forceinline__ void WriteRows(const AttentionArgs& args, const Work& work,
                                          int first_pair, const States<L>& states) {
  const int lane = threadIdx.x % kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int pair = first_pair + lane / 4 + half * 8;
    if (pair >= work.rows) continue;
    const float scale =
        Normalizer(args, HeadOf(work, pair), states.maximum[half], states.sum[half]);
    T* out = OutputOf<T>(args, RowOf(work, pair), HeadOf(work, pair));
#pragma unroll
    for (int j = 0; j < L::kDim / 8; ++j) {
      const uint32_t packed =
          PackPair<T>(states.values[j][half * 2] * scale, states.values[j][half * 2 + 1] * scale);
      *reinterpret_cast<uint32_t*>(out + j * 8 + lane % 4 * 2) = packed;
    }
  }
}

// Folds the states of the warps, in order, and writes the rows or, of a part, their states.
template <class L, class T>
__device__ __forceinline__ void MergeWarps(const AttentionArgs& args, const Work& work,
                                           const States<L>& states) {
  constexpr int kFloats = kStateFloats + L::kDim;
  const auto shared = Shared<float>(0, L::kMergeFloats);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const auto mine = shared + (warp * 16 + lane / 4 + half * 8) * kFloats;
    if (lane % 4 == 0) mine[0] = states.maximum[half];
    if (lane % 4 == 0) mine[1] = states.sum[half];
#pragma unroll
    for (int j = 0; j < L::kDim / 8; ++j) {
      mine[kStateFloats + j * 8 + lane % 4 * 2] = states.values[j][half * 2];
      mine[kStateFloats + j * 8 + lane % 4 * 2 + 1] = states.values[j][half * 2 + 1];
    }
  }
  __syncthreads();
  for (int pair = warp; pair < work.rows; pair += L::kWarps)
    FoldWarps<L::kWarps, T>(args, shared + pair * kFloats, 16 * kFloats, L::kDim, RowOf(work, pair),
                            HeadOf(work, pair));
}

// The tiles of keys and values: where copies go, and where a tile is read once they have come.
template <class L, class T, class C>
class Tiles {
  static constexpr bool kConverts = !std::is_same_v<T, C>;
  static constexpr int kKeysAt = L::kRows * L::kStride;
  static constexpr int kValuesAt = kKeysAt + L::kTiles * L::kTileElements;

 public:
  __device__ __forceinline__ void Copy(const AttentionArgs& args, const Work& work, int token,
                                       int stage) const {
    if (token < work.part.end) {
      if constexpr (kConverts) {
        CopyTokens<L, C>(args, work, token, L::kDim, Raw<C>(stage, 0), Raw<C>(stage, 1));
        if constexpr (kScaled<C>) CopyScales<L>(args, work, token, Scales(stage));
      } else {
        CopyTokens<L, C>(args, work, token, L::kStride, Keys(stage), Values(stage));
      }
    }
    CommitCopies();
  }

  // By all threads, between two barriers.
  __device__ __forceinline__ void Convert(int stage) const {
    if constexpr (kConverts) {
      const auto packs = [](int at) {
        return Shared<Pack<T, 8>>(sizeof(T) * at, L::kTileElements / 8);
      };
      ConvertTile<L, T, C>(Raw<Pack<C, 8>>(stage, 0), Scales(stage), packs(kKeysAt));
      ConvertTile<L, T, C>(Raw<Pack<C, 8>>(stage, 1), Scales(stage) + L::kTokens, packs(kValuesAt));
      __syncthreads();
    }
  }

  __device__ __forceinline__ SharedArray<T> Keys(int stage) const {
    return Shared<T>(sizeof(T) * kKeysAt, L::kTiles * L::kTileElements) + TileAt(stage);
  }
  __device__ __forceinline__ SharedArray<T> Values(int stage) const {
    return Shared<T>(sizeof(T) * kValuesAt, L::kTiles * L::kTileElements) + TileAt(stage);
  }

 private:
  __device__ __forceinline__ int TileAt(int stage) const {
    return kConverts ? 0 : stage * L::kTileElements;
  }
  template <class Element>
  __device__ __forceinline__ SharedArray<Element> Raw(int stage, int values) const {
    return Shared<Element>(L::kRawAt + (2 * stage + values) * L::kRawTile,
                           L::kRawTile / sizeof(Element));
  }
  __device__ __forceinline__ SharedArray<float> Scales(int stage) const {
    return Shared<float>(L::kScalesAt + stage * 2 * L::kTokens * sizeof(float), 2 * L::kTokens);
  }
};

template <class L, class T, class C>
__global__ void __launch_bounds__(L::kThreads, L::kLeastBlocks) Kernel(AttentionArgs args) {
  const DeviceStep& step = *args.step;
  const int index = blockIdx.x;
  if (index >= (L::kDecode ? step.decode_count : step.tile_count)) return;
  Work work;
  work.tile = (L::kDecode ? step.decodes : step.tiles)[index];
  work.kv_head = blockIdx.y;
  work.group = args.heads / args.cache.kv_heads;
  work.rows = work.tile.rows * work.group;
  work.table = TableOf(step, args.cache, work.tile.sequence);
  // Tiles of a prompt's keys begin at the same tokens whichever rows are together.
  int first = FirstSeen(args, work.tile.first_limit);
  if (!L::kDecode) first -= first % L::kTokens;
  work.part = PartOf(first, work.tile.first_limit + work.tile.rows - 1, blockIdx.z,
                     L::kDecode ? args.splits : 1, L::kTokens);

  const auto queries = Shared<T>(0, L::kRows * L::kStride);
  const Tiles<L, T, C> tiles;
  CopyQueries<L>(args, work, queries);
  tiles.Copy(args, work, work.part.begin, 0);

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
  for (int token = work.part.begin, stage = 0; token < work.part.end;
       token += L::kTokens, stage ^= 1) {
    tiles.Copy(args, work, token + L::kTokens, stage ^ 1);
    WaitForCopies<1>();
    __syncthreads();
    tiles.Convert(stage);
    const int tile = warp_token * L::kStride;
    float scores[L::kWarpTokens / 8][4] = {};
    Score<L, T>(queries + first_pair * L::kStride, tiles.Keys(stage) + tile, scores);
    Weigh<L>(args, seen, token + warp_token, scores, &states);
    AddValues<L, T>(scores, tiles.Values(stage) + tile, &states);
    __syncthreads();
  }
  WaitForCopies<0>();
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    states.sum[half] += __shfl_xor_sync(kAllLanes, states.sum[half], 1);
    states.sum[half] += __shfl_xor_sync(kAllLanes, states.sum[half], 2);
  }
  if constexpr (L::kDecode) {
    __syncthreads();
    MergeWarps<L, T>(args, work, states);
  } else {
    WriteRows<L, T>(args, work, first_pair, states);
  }
}

template <class L, class T, class C>
void LaunchLayout(const AttentionArgs& args, Stream stream) {
  const Dim3 grid(L::kDecode ? args.decodes : args.tiles, args.cache.kv_heads,
                  L::kDecode ? args.splits : 1);
  Launch(L::kDecode ? "attention, decode" : "attention, prefill", Kernel<L, T, C>, grid,
         L::kThreads, L::kSharedBytes, stream, args);
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

// Activations of T over a cache of C, which is T or has elements of 8 bits.
template <class T, class C>
void LaunchTensorAttention(const AttentionArgs& args, Stream stream) {
  using namespace tensor_attention;
  constexpr bool kBytes = sizeof(C) == 1;
  ForDim(args.cache.key_dim, [&](auto dim) {
    if (args.tiles > 0) LaunchLayout<Prefill<dim(), kBytes>, T, C>(args, stream);
    if (args.decodes > 0) LaunchLayout<Decode<dim(), kBytes>, T, C>(args, stream);
  });
}

// Over a cache with elements of 8 bits (attention_bytes.cu).
void LaunchTensorAttentionOfBytes(const AttentionArgs& args, Stream stream);

}  // namespace octavo::cuda
