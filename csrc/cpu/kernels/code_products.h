// Products of codes by instructions that add four products of bytes to a lane.
#pragma once

#include "../kernels.h"

namespace octavo::cpu {

// What a Dot, the products of codes of some width, is that takes inputs as signed bytes.
// I: the integers of an instruction set (see integers_plain.h).
template <class I>
struct SignedInputs {
  static constexpr int kColumns = 4;      // that a lane of a vector holds
  static constexpr int kPlanes = 1;       // see QuantizedRows
  static constexpr bool kWide = false;    // whether tiles of half the rows × 4 vectors are faster
  static constexpr bool kByRows = false;  // whether AddRow adds a row's products with all vectors
  static constexpr bool kOpens = false;   // whether many rows read codes opened: OpenedStrip

  using Inputs = typename I::Inputs;

  // Four columns of a row of a block.
  static Inputs Broadcast(const int8_t* fours, int row) { return I::Broadcast(fours, row); }

  // Those of a row that is one in a column and zero in the other three; `block` has zeros.
  static Inputs One(int column, int8_t (&block)[QuantizedRows::kBlock * 4]) {
    const int32_t one = 1 << 8 * column;  // stored as it is loaded
    std::memcpy(block, &one, sizeof one);
    return I::Broadcast(block, 0);
  }

  // Writes up to 32 columns of one row, or of the rows of a block: adds these to `sums` and, if
  // there are two planes, the negative ones to `negatives`.
  static void StoreRow(const int8_t (&codes)[kCodesChunk], int columns, int8_t* to) {
    for (int c = 0; c < columns; c += 4) std::memcpy(to + c * QuantizedRows::kBlock, codes + c, 4);
  }
  static void StoreRows(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                        int32_t (&sums)[8], int32_t (&)[8]) {
    I::StoreFours(rows, columns, to, sums);
  }
};

// The products of words, signed ones of 16 bits: two columns a lane, in two planes of fours.
template <class I>
struct WordProducts {
  static constexpr int kColumns = 2, kPlanes = 2, kLowered = 0;
  static constexpr bool kWide = false, kByRows = false, kOpens = false;

  explicit WordProducts(const CodesLayout&) {}

  using Weights = typename I::Bytes;
  using Inputs = typename I::Inputs;
  using Sum = typename I::Ints;

  static Sum Start(Sum sums) { return sums; }
  static Sum Finish(Sum parts, Sum) { return parts; }

  static Weights Load(const uint8_t* eight, int two) {
    return I::LoadWords(eight + two * kPanel * 4);
  }
  static Inputs Broadcast(const int8_t* twos, int row) { return I::Broadcast(twos, row); }
  static Sum Add(const Weights& weights, const Inputs& inputs, Sum sum) {
    return I::AddTwos(sum, weights, inputs);
  }
};

template <class I>
struct CodeProducts : I {
  using typename I::Bytes;
  using typename I::Ints;

  // Whether tiles share what they ask memory for: it is measured where it gains.
  static constexpr bool kSharesFetching = false;

  template <int kBits>
  struct Dot : SignedInputs<I> {
    static constexpr int kLowered = kBits == 8 ? I::kLowered : 0;

    explicit Dot(const CodesLayout&) {}

    using Weights = Bytes;
    using Sum = Ints;

    // A step of columns begins with the sums so far, and ends with them and its own.
    static Sum Start(Ints sums) { return sums; }
    static Ints Finish(Sum parts, Ints) { return parts; }

    // Columns 0 to 3 of eight, or with half 1 columns 4 to 7.
    static Weights Load(const uint8_t* eight, int half) {
      return kBits == 8 ? I::LoadBytes(eight + half * kPanel * 4) : I::LoadHalves(eight, half);
    }

    static Sum Add(Weights weights, typename I::Inputs inputs, Sum sum) {
      return I::AddFours(sum, weights, inputs);
    }
  };
};

// The products of codes of so many bits that D has.
template <class D, int kBits>
struct DotFor {
  using Dot = typename D::template Dot<kBits>;
};
template <class D>
struct DotFor<D, CodesLayout::kWordBits> {
  using Dot = WordProducts<D>;
};
template <class D, int kBits>
using DotOf = typename DotFor<D, kBits>::Dot;

}  // namespace octavo::cpu
