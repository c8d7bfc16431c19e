// out = input · weightᵀ + bias for a weight of codes and inputs quantised to signed bytes. Products
// are added in integers, exactly, a group of columns at a time; groups are then folded in order:
//   sum = sum + Σ products × (weight scale × input scale), and, if there are minimums,
//   sum = sum + minimum × (input scale × Σ input codes),
// each one multiply-add. Where the weight's scale is a row's, it multiplies the folded sum instead.
#pragma once

#include "vector_math.h"

namespace octavo::cpu {

// What a group of columns brings besides its codes.
enum class GroupHeader : uint8_t { kNone, kScales, kScalesAndMinimums };

// D holds the integer products of an instruction set (see integers_plain.h).
template <class V, class D>
struct LinearCodes {
  static constexpr int kVectors = kPanel / V::kLanes;  // of columns in a panel
  static constexpr int kAhead = 2048;                  // bytes
  static constexpr int kBlock = QuantizedRows::kBlock;

  // Vector c of a tile lies in the tile's first panel, or in the one after.
  template <class T>
  static const T* VectorOf(const T* first, size_t panel_bytes, int c) {
    return first + (c >= kVectors ? panel_bytes : 0) + c % kVectors * V::kLanes * 4;
  }

  // R rows × C vectors of columns over at most Dot::kMostColumns: what the products add to `sums`.
  template <int kBits, int R, int C, bool kFetch>
  static void Products(const uint8_t* codes, size_t panel_bytes, const int8_t* inputs, int columns,
                       typename D::Ints (&sums)[R][C]) {
    using Dot = typename D::template Dot<kBits>;
    typename Dot::Sum parts[R][C];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) parts[r][c] = Dot::Start(sums[r][c]);
    }
    for (int k = 0; k < columns; k += CodesLayout::kEight) {
      for (int half = 0; half < 2; ++half) {
        typename Dot::Weights weights[C];
        for (int c = 0; c < C; ++c) {
          const uint8_t* at = VectorOf(codes, panel_bytes, c);
          if (kFetch && (half == 0 || kBits == 8)) V::Prefetch(at + half * kPanel * 4 + kAhead);
          weights[c] = Dot::Load(at, half);
        }
        for (int r = 0; r < R; ++r) {
          const auto x = D::Broadcast(inputs + 4 * (half * kBlock + r));
          for (int c = 0; c < C; ++c) parts[r][c] = Dot::Add(weights[c], x, parts[r][c]);
        }
      }
      inputs += 8 * kBlock;
      codes += kPanel * kBits;
    }
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sums[r][c] = Dot::Finish(parts[r][c], sums[r][c]);
    }
  }

  // The same over a whole group.
  template <int kBits, int R, int C, bool kFetch>
  static void GroupProducts(const uint8_t* codes, size_t panel_bytes, const int8_t* inputs,
                            int columns, typename D::Ints (&sums)[R][C]) {
    constexpr int kMost = D::template Dot<kBits>::kMostColumns;
    if constexpr (kMost < CodesLayout::kMostGroup) {
      for (; columns > kMost; columns -= kMost) {
        Products<kBits, R, C, kFetch>(codes, panel_bytes, inputs, kMost, sums);
        codes += kMost / CodesLayout::kEight * kPanel * kBits;
        inputs += kMost * kBlock;
      }
    }
    Products<kBits, R, C, kFetch>(codes, panel_bytes, inputs, columns, sums);
  }

  // Scales or minimums of a vector of columns, `column` of its panel the first.
  static V LoadHeader(const uint8_t* header, bool half, int column) {
    return half ? V::Load(reinterpret_cast<const Float16*>(header) + column)
                : V::Load(reinterpret_cast<const float*>(header) + column);
  }

  template <int kBits, GroupHeader kHeader, int R, int C>
  static void Tile(const LinearCodesArgs& args, int row, int vector) {
    const CodesLayout layout = args.layout;
    const QuantizedRows input = args.input;
    constexpr bool kFetch = C > 2;  // rows are few: codes come from memory
    // Codes are multiplied less `lowered`; symmetric ones should be less the middle one.
    const int lowered = D::template Dot<kBits>::kLowered;
    const int shift = lowered - (layout.symmetric ? 1 << (kBits - 1) : 0);
    const size_t panel_bytes = layout.PanelBytes(), header_bytes = layout.HeaderBytes();
    const size_t group_bytes = layout.GroupBytes();
    const uint8_t* panel = args.weight + static_cast<size_t>(vector / kVectors) * panel_bytes;
    const int first_column = vector % kVectors * V::kLanes;
    V totals[R][C];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) totals[r][c] = V::Set(0);
    }
    const uint8_t* group = panel;
    const int8_t* codes = input.CodesOf(row, 0);
    int64_t at = row;  // of the group's numbers of the first row
    for (int left = layout.cols; left > 0; left -= layout.group) {
      typename D::Ints sums[R][C];
      for (int r = 0; r < R; ++r) {
        const auto start = D::Set(shift * input.code_sums[at + r]);
        for (int c = 0; c < C; ++c) sums[r][c] = start;
      }
      GroupProducts<kBits, R, C, kFetch>(group + header_bytes + first_column * 4, panel_bytes,
                                         codes, left < layout.group ? left : layout.group, sums);
      for (int c = 0; c < C; ++c) {
        const int column = first_column + c % kVectors * V::kLanes;
        const uint8_t* header = group + (c >= kVectors ? panel_bytes : 0);
        V scales = V::Set(1);
        if (kHeader != GroupHeader::kNone) scales = LoadHeader(header, layout.half, column);
        for (int r = 0; r < R; ++r) {
          V scale = V::Set(input.scales[at + r]);
          if (kHeader != GroupHeader::kNone) scale = scales * scale;
          totals[r][c] = V::Fma(D::ToFloats(sums[r][c]), scale, totals[r][c]);
        }
        if (kHeader != GroupHeader::kScalesAndMinimums) continue;
        const V minimums = LoadHeader(header + header_bytes / 2, layout.half, column);
        for (int r = 0; r < R; ++r)
          totals[r][c] = V::Fma(minimums, V::Set(input.sums[at + r]), totals[r][c]);
      }
      group += group_bytes;
      codes += static_cast<int64_t>(layout.group) * kBlock;
      at += input.rows;
    }
    for (int c = 0; c < C; ++c) {
      const int column = first_column + c % kVectors * V::kLanes;
      const uint8_t* header = panel + (c >= kVectors ? panel_bytes : 0);
      for (int r = 0; r < R; ++r) {
        if (kHeader == GroupHeader::kNone)
          totals[r][c] = ScaleRow(layout, header, column, input.row_sums[row + r], totals[r][c]);
        Store(totals[r][c], args, (vector + c) * V::kLanes, args.out + int64_t{row + r} * args.n);
      }
    }
  }

  // What a scale and a minimum a row make of the sum of its groups.
  static V ScaleRow(const CodesLayout& layout, const uint8_t* header, int column, float row_sum,
                    V total) {
    const V scaled = total * LoadHeader(header, layout.half, column);
    if (layout.symmetric) return scaled;
    const V minimums = LoadHeader(header + layout.HeaderBytes() / 2, layout.half, column);
    return V::Fma(minimums, V::Set(row_sum), scaled);
  }

  // Writes the columns of a vector that are below n.
  static void Store(V sum, const LinearCodesArgs& args, int column, float* row) {
    if (column >= args.n) return;
    if (args.bias != nullptr) sum = sum + V::Load(args.bias + column);
    Math<V>::StoreFirst(sum, args.n - column, row + column);
  }

  // Calls the tile of that many rows, at most R.
  template <int kBits, GroupHeader kHeader, int R, int C>
  static void Dispatch(const LinearCodesArgs& args, int row, int rows, int vector) {
    if (rows < R) {
      if constexpr (R > 1) Dispatch<kBits, kHeader, R - 1, C>(args, row, rows, vector);
    } else {
      Tile<kBits, kHeader, R, C>(args, row, vector);
    }
  }

  template <int kBits, GroupHeader kHeader>
  static void Panels(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    constexpr int kRows = D::template Dot<kBits>::kAccumulators / 2;  // of a tile of two vectors
    static_assert(QuantizedRows::kBlock % kRows == 0, "a tile of rows lies in one block");
    const int last_vector = last_panel * kVectors;
    int vector = first_panel * kVectors;
    if (last_row - first_row <= kRows / 2) {  // more columns share an input; lines are read whole
      for (; vector + 4 <= last_vector; vector += 4)
        Dispatch<kBits, kHeader, kRows / 2, 4>(args, first_row, last_row - first_row, vector);
    }
    for (; vector < last_vector; vector += 2) {
      for (int row = first_row; row < last_row; row += kRows) {
        const int rows = last_row - row < kRows ? last_row - row : kRows;
        Dispatch<kBits, kHeader, kRows, 2>(args, row, rows, vector);
      }
    }
  }

  template <int kBits>
  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.layout.whole_row) {
      Panels<kBits, GroupHeader::kNone>(args, first_panel, last_panel, first_row, last_row);
    } else if (args.layout.symmetric) {
      Panels<kBits, GroupHeader::kScales>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Panels<kBits, GroupHeader::kScalesAndMinimums>(args, first_panel, last_panel, first_row,
                                                     last_row);
    }
  }

  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.layout.bits == 8) {
      Run<8>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Run<4>(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

// Inputs as codes from -127 to 127: the largest magnitude of a group becomes 127.
template <class V, class D>
struct QuantizeRows {
  static constexpr float kHighest = 127;
  // Below this the reciprocal would overflow; such a group is zeros.
  static constexpr float kLeast = 1e-30f;

  static float LargestMagnitude(const float* from, int count) {
    V largest = V::Set(0);
    for (int i = 0; i < count; i += V::kLanes) {
      const V x = Math<V>::LoadFirst(from + i, count - i, 0);
      largest = V::Max(V::Max(x, V::Set(0) - x), largest);
    }
    float lanes[V::kLanes];
    largest.Store(lanes);
    for (int i = 1; i < V::kLanes; ++i) lanes[0] = lanes[i] > lanes[0] ? lanes[i] : lanes[0];
    return lanes[0];
  }

  // The codes of `count` numbers, at most kMost, and their sum.
  static int32_t Codes(const float* from, int count, float inverse, int8_t* codes) {
    auto sums = D::Zero();
    for (int i = 0; i < count; i += V::kLanes) {
      const V scaled = Math<V>::LoadFirst(from + i, count - i, 0) * V::Set(inverse);
      const auto rounded = D::FromFloats(V::Round(scaled));
      D::StoreBytes(rounded, codes + i);
      sums = D::Plus(sums, rounded);
    }
    return D::Total(sums);
  }

  static void Group(const float* row, const QuantizedRows& to, int r, int group) {
    const int first = group * to.group;
    const int count = to.cols - first < to.group ? to.cols - first : to.group;
    const float largest = LargestMagnitude(row + first, count);
    const bool zero = largest < kLeast;
    int8_t codes[CodesLayout::kMostGroup + V::kLanes] = {};
    const int32_t sum = Codes(row + first, count, zero ? 0 : kHighest / largest, codes);
    const int padded = to.padded - first < to.group ? to.padded - first : to.group;
    for (int k = 0; k < padded; k += 4) std::memcpy(to.CodesOf(r, first + k), codes + k, 4);
    const int64_t at = static_cast<int64_t>(group) * to.rows + r;
    to.scales[at] = zero ? 0 : largest / kHighest;
    to.code_sums[at] = sum;
    to.sums[at] = to.scales[at] * static_cast<float>(sum);
  }

  static void Run(const float* input, const QuantizedRows& to, int first_row, int last_row) {
    for (int row = first_row; row < last_row; ++row) {
      float sum = 0;
      for (int group = 0; group < to.groups; ++group) {
        Group(input + static_cast<int64_t>(row) * to.cols, to, row, group);
        sum += to.sums[static_cast<int64_t>(group) * to.rows + row];
      }
      to.row_sums[row] = sum;
    }
  }
};

}  // namespace octavo::cpu
