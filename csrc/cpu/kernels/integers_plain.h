// Integer products in plain C++, for vectors of V::kLanes columns. What an instruction set brings
// of its own has the same members.
#pragma once

#include "../half.h"
#include "../kernels.h"

namespace octavo::cpu {

template <class V>
struct PlainIntegers {
  static constexpr int kLanes = V::kLanes;
  static constexpr int kRows = 4;  // of a tile of two vectors of columns; divides a block of rows

  // One sum a column.
  struct Ints {
    int32_t v[kLanes];
  };
  static Ints Zero() { return Set(0); }
  static Ints Set(int32_t value) {
    Ints ints;
    for (int32_t& lane : ints.v) lane = value;
    return ints;
  }
  static Ints Plus(Ints a, Ints b) {
    for (int i = 0; i < kLanes; ++i) a.v[i] += b.v[i];
    return a;
  }
  static V ToFloats(Ints ints) {
    float lanes[kLanes];
    for (int i = 0; i < kLanes; ++i) lanes[i] = static_cast<float>(ints.v[i]);
    return V::Load(lanes);
  }

  // The nearest whole numbers, and such as bytes.
  static Ints Rounded(V x) {
    float lanes[kLanes];
    V::Round(x).Store(lanes);
    Ints ints;
    for (int i = 0; i < kLanes; ++i) ints.v[i] = static_cast<int32_t>(lanes[i]);
    return ints;
  }
  static void StoreBytes(const Ints (&ints)[kCodesChunk / kLanes], int8_t* to) {
    for (const Ints& lanes : ints) {
      for (const int32_t lane : lanes.v) *to++ = static_cast<int8_t>(lane);
    }
  }
  static void StoreWords(const Ints (&ints)[kCodesChunk / kLanes], int16_t* to) {
    for (const Ints& lanes : ints) {
      for (const int32_t lane : lanes.v) *to++ = static_cast<int16_t>(lane);
    }
  }
  // The bits of floats without their signs, and the largest of them.
  static Ints Magnitudes(V x) {
    float lanes[kLanes];
    x.Store(lanes);
    Ints ints;
    for (int i = 0; i < kLanes; ++i)
      ints.v[i] = static_cast<int32_t>(BitsOf(lanes[i]) & 0x7fffffffu);
    return ints;
  }
  static Ints Max(Ints a, Ints b) {
    for (int i = 0; i < kLanes; ++i) a.v[i] = a.v[i] < b.v[i] ? b.v[i] : a.v[i];
    return a;
  }
  static int32_t Largest(Ints ints) {
    int32_t largest = 0;
    for (const int32_t lane : ints.v) largest = lane > largest ? lane : largest;
    return largest;
  }

  // Writes the first columns of eight rows as they lie in a block, `[column / 4][8][4]`, and adds
  // each row's to its sum.
  static void StoreFours(const int8_t (&rows)[8][kCodesChunk], int columns, int8_t* to,
                         int32_t (&sums)[8]) {
    for (int i = 0; i < columns; i += 4) {
      for (int r = 0; r < 8; ++r, to += 4) {
        std::memcpy(to, rows[r] + i, 4);
        for (int j = 0; j < 4; ++j) sums[r] += rows[r][i + j];
      }
    }
  }

  // Four neighbouring inputs of one of several rows, for every column.
  using Inputs = const int8_t*;
  static Inputs Broadcast(const int8_t* fours, int row) { return fours + 4 * row; }

  // Four codes a column: of 8 bits, less kLowered, or halves of bytes, the lower or the upper ones.
  static constexpr int kLowered = 0;
  struct Bytes {
    uint8_t v[4 * kLanes];
  };
  static Bytes LoadBytes(const uint8_t* from) {
    Bytes bytes;
    std::memcpy(bytes.v, from, sizeof bytes.v);
    return bytes;
  }
  static Bytes LoadWords(const uint8_t* from) { return LoadBytes(from); }
  static Bytes LoadHalves(const uint8_t* from, int half) {
    Bytes halves;
    for (int i = 0; i < 4 * kLanes; ++i) halves.v[i] = from[i] >> (4 * half) & 15;
    return halves;
  }

  // Sixteen numbers of a byte, and those that halves choose.
  static_assert(4 * kLanes >= CodesLayout::kLevels, "a vector of bytes holds all");
  static Bytes LoadTable(const uint8_t* numbers) {
    Bytes table{};
    std::memcpy(table.v, numbers, CodesLayout::kLevels);
    return table;
  }
  static Bytes LookUp(const Bytes& table, Bytes halves) {
    for (uint8_t& byte : halves.v) byte = table.v[byte];
    return halves;
  }
  static Ints ShiftLeft(Ints ints, int bits) {
    for (int32_t& lane : ints.v) lane *= 1 << bits;
    return ints;
  }

  // Whether there are products of two rows at a time (see neon_i8mm::Integers).
  static constexpr bool kPairs = false;
  // Adds four products to each column's sum.
  static Ints AddFours(Ints sum, const Bytes& codes, Inputs inputs) {
    for (int i = 0; i < kLanes; ++i) {
      for (int j = 0; j < 4; ++j) sum.v[i] += codes.v[4 * i + j] * inputs[j];
    }
    return sum;
  }
  // Adds two products of signed words to each.
  static Ints AddTwos(Ints sum, const Bytes& words, Inputs inputs) {
    int16_t x[2], w[2 * kLanes];
    std::memcpy(x, inputs, sizeof x);
    std::memcpy(w, words.v, sizeof w);
    for (int i = 0; i < kLanes; ++i) sum.v[i] += w[2 * i] * x[0] + w[2 * i + 1] * x[1];
    return sum;
  }
};

}  // namespace octavo::cpu
