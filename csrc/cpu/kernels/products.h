// One step of a sum of products, for each kind of matrix and inputs: T is what the matrix is kept
// in, Input what the inputs are read from, kColumns how many columns of the matrix the step takes.
// Its kParts parts come in the order kFirst, kFirst + kNext…; Keep writes
// inputs as they are read; kRounds: rounded to bfloat16.
#pragma once

#include "../half.h"
#include "compiler.h"

namespace octavo::cpu {

template <class V, class From>
struct OneColumn {
  using T = From;
  using Input = float;
  static constexpr int kColumns = 1, kParts = 1, kFirst = 0, kNext = 1;
  static constexpr bool kRounds = false;

  static V Weights(const T* at, int) { return V::Load(at); }
  static V Inputs(const Input* at, int) { return V::Set(*at); }
  static V Add(V x, V weight, V sum) { return V::AddProduct(x, weight, sum); }
  static void Keep(V x, Input* to) { x.Store(to); }
};

// Two columns of a matrix in bfloat16, the first one first.
template <class V>
struct TwoColumns {
  using T = BFloat16;
  using Input = float;
  static constexpr int kColumns = 2, kParts = 2, kFirst = 0, kNext = 1;
  static constexpr bool kRounds = false;

  static V Weights(const T* at, int part) {
    return part == 0 ? V::LoadFirsts(at) : V::LoadSeconds(at);
  }
  static V Inputs(const Input* at, int part) { return V::Set(at[part]); }
  static V Add(V x, V weight, V sum) { return V::AddProduct(x, weight, sum); }
  static void Keep(V x, Input* to) { x.Store(to); }
};

// Two columns with inputs that are rounded to bfloat16, the second one first: as the instructions
// for such pairs do it, so that all instruction sets give the same bits.
template <class V>
struct RoundedColumns : TwoColumns<V> {
  static constexpr int kFirst = 1, kNext = -1;
  static constexpr bool kRounds = true;

  static void Keep(V x, float* to) { x.ToBFloat16().Store(to); }
};

// Where R neighbouring rows of inputs lie. x86-64 has registers for the addresses of few of them,
// and loads the others' from memory in each step of a loop; so one of kRowsOfPointer rows has a
// pointer, and an instruction that reads another one adds the stride to it, once or twice.
template <class V, class Input, int R>
struct InputRows {
  InputRows(const Input* first, int64_t row_stride) : stride(row_stride) {
    for (int r = 0; r < R; r += kEach) pointers[r / kEach] = first + r * stride;
  }
  OCTAVO_INLINE const Input* At(int row, int column) const {
    return pointers[row / kEach] + row % kEach * stride + column;
  }

  static constexpr int kEach = V::kRowsOfPointer;
  int64_t stride;
  const Input* pointers[(R + kEach - 1) / kEach];
};

// Adds the products of one step: of R rows of inputs, row r's at input(r), and C vectors of the
// matrix, at weight(c). Registers hold the fewer of them, and the others pass by. One part of two:
// of the step that a matrix' odd column begins.
template <class S, int kParts = S::kParts, class V, int R, int C, class InputAt, class WeightAt>
static OCTAVO_INLINE void AddStep(const InputAt& input, const WeightAt& weight, V (&sums)[R][C]) {
  for (int p = 0; p < kParts; ++p) {
    const int part = kParts < S::kParts ? 0 : S::kFirst + p * S::kNext;
    if constexpr (C <= R) {
      decltype(S::Weights(weight(0), part)) weights[C];
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) weights[c] = S::Weights(weight(c), part);
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) {
        const auto x = S::Inputs(input(r), part);
        OCTAVO_UNROLL for (int c = 0; c < C; ++c) sums[r][c] = S::Add(x, weights[c], sums[r][c]);
      }
    } else {
      decltype(S::Inputs(input(0), part)) inputs[R];
      OCTAVO_UNROLL for (int r = 0; r < R; ++r) inputs[r] = S::Inputs(input(r), part);
      OCTAVO_UNROLL for (int c = 0; c < C; ++c) {
        const auto weights = S::Weights(weight(c), part);
        OCTAVO_UNROLL for (int r = 0; r < R; ++r) sums[r][c] =
            S::Add(inputs[r], weights, sums[r][c]);
      }
    }
  }
}

}  // namespace octavo::cpu
