// softmax(q·kᵀ·scale)·v over the cache, with softcap, window and slopes where the op has them, one
// span of kSpan tokens at a time. What a query gets depends on its own tokens only: a score is one
// chain over d, the sum of a span has kTokenTile fixed lanes, a weighted value is one chain over
// the span's tokens, and spans are combined in order.
#pragma once

#include "attention_scores.h"
#include "attention_values.h"
#include "softmax.h"

namespace octavo::cpu {

template <class V>
struct Attention {
  template <class S>
  static constexpr bool kScaled = std::is_same_v<typename S::T, Int8>;

  // The scales of the tokens that the span's rows see.
  static void GatherScales(const AttentionWork& work, bool values, float* to) {
    const int size = work.cache->block_size;
    for (int t = work.FirstOf(0); t < work.tokens;) {
      const int slot = work.SlotOf(t);
      const int count = size - slot < work.tokens - t ? size - slot : work.tokens - t;
      const uint8_t* from = ScalesOf(*work.cache, work.BlockOf(t), work.kv_head, values);
      std::memcpy(to + t, from + slot * sizeof(float), count * sizeof(float));
      t += count;
    }
  }

  // The tile's queries as inputs of the step.
  template <class S>
  static void GatherQueries(const AttentionArgs& args, int64_t first_row,
                            const AttentionWork& work) {
    const int dim = work.cache->key_dim, stride = work.QueryStride<S>();
    for (int q = 0; q < work.queries; ++q) {
      const int head = work.kv_head * work.group + q % work.group;
      const float* from = args.input + ((first_row + q / work.group) * args.heads + head) * dim;
      typename S::Input* to = work.QueryOf<S>(q);
      int d = 0;
      for (; d + V::kLanes <= stride; d += V::kLanes)
        S::Keep(Math<V>::LoadFirst(from + d, dim - d, 0), to + d);
      if (d == stride) continue;
      typename S::Input kept[V::kLanes];
      S::Keep(Math<V>::LoadFirst(from + d, dim - d, 0), kept);
      std::memcpy(to + d, kept, (stride - d) * sizeof(*kept));
    }
  }

  template <class S>
  static void Span(const AttentionArgs& args, int64_t first_row, const AttentionWork& work) {
    const int floats = StateFloats(work.cache->value_dim);
    GatherQueries<S>(args, first_row, work);
    if constexpr (kScaled<S>) {
      GatherScales(work, false, work.key_scales);
      GatherScales(work, true, work.value_scales);
    }
    AttentionScores<V, S>::Run(work);
    for (int q = 0; q < work.queries; ++q) {
      float* state = work.states + static_cast<int64_t>(q) * floats;
      for (int i = 0; i < floats; ++i) state[i] = 0;
      const int first = work.FirstOf(q / work.group), tokens = work.TokensOf(q / work.group);
      float* scores = work.scores + static_cast<int64_t>(q) * kSpan;
      state[0] = -HUGE_VALF;
      if (first >= tokens) continue;
      if constexpr (kScaled<S>) Softmax<V>::Multiply(work.key_scales, first, tokens, scores);
      Softmax<V>::Bend(work, q, first, tokens, scores);
      Softmax<V>::template Run<S>(scores, first, tokens, &state[0], &state[1]);
      if constexpr (kScaled<S>) Softmax<V>::Multiply(work.value_scales, first, tokens, scores);
    }
    AttentionSums<V, S>::Run(work);
  }

  // The states of one span; S is the step of the products.
  template <class S>
  static void Attend(const AttentionArgs& args, const AttentionTile& tile, int kv_head, int span,
                     const AttentionPlace& next, float* states, float* scratch) {
    const CacheLayer& cache = args.cache;
    AttentionWork work;
    work.cache = &cache;
    work.table = tile.table;
    work.next = next;
    work.kv_head = kv_head;
    work.begin = span * kSpan;
    work.first_tokens = tile.first_limit - work.begin;
    const int seen = tile.Limit() - work.begin;
    work.tokens = seen < kSpan ? seen : kSpan;
    work.group = args.heads / cache.kv_heads;
    work.queries = tile.rows * work.group;
    work.window = args.window;
    work.scale = args.scale;
    work.softcap = args.softcap;
    work.slopes = args.slopes == nullptr ? nullptr : args.slopes + kv_head * work.group;
    work.states = states;
    work.scores = scratch;
    work.query = work.scores + static_cast<int64_t>(work.queries) * kSpan;
    work.key_scales = work.query + work.queries * RoundUp(cache.key_dim, 2);
    work.value_scales = work.key_scales + kSpan;
    work.step = work.value_scales + kSpan;
    work.gathered = work.value_scales + kSpan + RoundUp(cache.value_dim, kTokenTile);
    work.FindTiles();
    work.template FindNext<typename S::T>();
    Span<S>(args, tile.first_row, work);
  }

  static void AttendSpan(const AttentionArgs& args, const AttentionTile& tile, int kv_head,
                         int span, const AttentionPlace& next, float* states, float* scratch) {
    const auto attend = [&](auto step) {
      Attend<decltype(step)>(args, tile, kv_head, span, next, states, scratch);
    };
    switch (args.cache.type) {
      case CacheType::kFloat32: return attend(OneColumn<V, float>());
      case CacheType::kBFloat16:
        if (args.cache.latent) return attend(OneColumn<V, BFloat16>());
        return args.rounded ? attend(RoundedColumns<V>()) : attend(TwoColumns<V>());
      case CacheType::kFloat16: return attend(OneColumn<V, Float16>());
      case CacheType::kInt8: return attend(OneColumn<V, Int8>());
      case CacheType::kFloat8: return attend(OneColumn<V, Float8>());
    }
  }

  static void CombineSpan(float* total, const float* states, int queries, int value_dim) {
    const int floats = StateFloats(value_dim);
    for (int q = 0; q < queries; ++q, total += floats, states += floats) {
      if (states[1] == 0) continue;  // this row sees nothing of the span
      const float maximum = states[0] > total[0] ? states[0] : total[0];
      float factors[V::kLanes] = {total[0] - maximum, states[0] - maximum};
      Math<V>::Exp(V::Load(factors)).Store(factors);
      total[0] = maximum;
      total[1] = total[1] * factors[0] + states[1] * factors[1];
      const V before = V::Set(factors[0]), added = V::Set(factors[1]);
      for (int i = 2; i < floats; i += V::kLanes)
        (V::Load(total + i) * before + V::Load(states + i) * added).Store(total + i);
    }
  }

  static void Finish(const AttentionArgs& args, const AttentionTile& tile, int kv_head,
                     const float* states) {
    const int dim = args.cache.value_dim, floats = StateFloats(dim);
    const int group = args.heads / args.cache.kv_heads;
    for (int q = 0; q < tile.rows * group; ++q, states += floats) {
      const int64_t row = tile.first_row + q / group;
      float* out = args.out + (row * args.heads + kv_head * group + q % group) * dim;
      for (int d = 0; d < dim; ++d) out[d] = states[2 + d] / states[1];
    }
  }
};

}  // namespace octavo::cpu
