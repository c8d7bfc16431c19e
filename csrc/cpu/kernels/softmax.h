// From scores to weights: what bends scores, and the softmax of one query over a span. Scores
// outside [first, tokens) become anything before it, and weights of zero after it, as far as tiles
// of tokens reach.
#pragma once

#include "attention_work.h"
#include "vector_math.h"

namespace octavo::cpu {

template <class V>
struct Softmax {
  static constexpr int kVectors = kTokenTile / V::kLanes;

  // Multiplies the scores or weights of one query.
  static void Multiply(const float* scales, int first, int tokens, float* numbers) {
    for (int t = first / kTokenTile * kTokenTile; t < tokens; t += V::kLanes)
      (V::Load(numbers + t) * V::Load(scales + t)).Store(numbers + t);
  }

  // Caps the scores of one query and adds its slope times their tokens' distance to it.
  static void Bend(const AttentionWork& work, int q, int first, int tokens, float* scores) {
    if (work.softcap > 0) {
      const V cap = V::Set(work.softcap);
      for (int t = first / kTokenTile * kTokenTile; t < tokens; t += V::kLanes)
        (cap * Math<V>::Tanh(V::Load(scores + t) / cap)).Store(scores + t);
    }
    if (work.slopes == nullptr) return;
    const float slope = work.slopes[q % work.group];
    const int own = work.first_tokens + q / work.group - 1;  // counted from the span's start
    for (int t = first; t < tokens; ++t) scores[t] += slope * static_cast<float>(t - own);
  }

  template <class S>
  static V Weight(V score, float maximum) {
    const V below = score - V::Set(maximum);
    constexpr float kLog2OfE = 1.44269504f;
    return S::kRounds ? Math<V>::Exp2(below * V::Set(kLog2OfE)) : Math<V>::Exp(below);
  }

  // Turns the scores of tokens [first, tokens) of one query into weights, inputs of the step S in
  // their place; gives their maximum and the sum of the weights, before they are rounded.
  template <class S>
  static void Run(float* scores, int first, int tokens, float* maximum, float* sum) {
    const int begin = first / kTokenTile * kTokenTile, padded = RoundUp(tokens, kTokenTile);
    for (int t = begin; t < first; ++t) scores[t] = -HUGE_VALF;
    for (int t = tokens; t < padded; ++t) scores[t] = -HUGE_VALF;
    V largest = V::Load(scores + begin);
    for (int t = begin + V::kLanes; t < padded; t += V::kLanes)
      largest = V::Max(largest, V::Load(scores + t));
    float lanes[kTokenTile];
    largest.Store(lanes);
    for (int width = V::kLanes / 2; width > 0; width /= 2) {
      for (int i = 0; i < width; ++i)
        lanes[i] = lanes[i + width] > lanes[i] ? lanes[i + width] : lanes[i];
    }
    const float m = lanes[0];

    auto* weights = reinterpret_cast<typename S::Input*>(scores);
    V sums[kVectors];
    for (V& lane_sums : sums) lane_sums = V::Set(0);
    for (int t = begin; t < padded; t += kTokenTile) {
      for (int v = 0; v < kVectors; ++v) {
        const int at = t + v * V::kLanes;
        const V weight = Weight<S>(V::Load(scores + at), m);
        S::Keep(weight, weights + at);
        sums[v] = sums[v] + weight;
      }
    }
    for (int v = 0; v < kVectors; ++v) sums[v].Store(lanes + v * V::kLanes);
    *maximum = m;
    *sum = Math<V>::Tree(lanes);
  }
};

}  // namespace octavo::cpu
