// out = input · weightᵀ + bias for a weight of codes and inputs quantised to signed bytes. Products
// are added in integers, exactly, a group of columns at a time; groups are then folded in order:
//   sum = sum + Σ products × (weight scale × input scale), and, if there are minimums,
//   sum = sum + minimum × (input scale × Σ input codes),
// each one multiply-add. Where the weight's scale is a row's, it multiplies the folded sum instead.
#pragma once

#include "vector_math.h"

namespace octavo::cpu {

// D holds the integer products of an instruction set (see vec_portable.h).
template <class V, class D>
struct LinearCodes {
  static constexpr int kVectors = kPanel / V::kLanes;  // of columns in a panel
  static constexpr int kLineBytes = 64, kAhead = 2048;

  static V LoadHeader(const uint8_t* from, bool half) {
    return half ? V::Load(reinterpret_cast<const Float16*>(from))
                : V::Load(reinterpret_cast<const float*>(from));
  }

  // Where one vector of columns finds its part of a panel.
  struct Columns {
    const uint8_t* panel;
    int first;  // column of the panel

    V Scales(const CodesLayout& layout, size_t at) const {
      return LoadHeader(panel + at + static_cast<size_t>(first) * (layout.half ? 2 : 4),
                        layout.half);
    }
    V Minimums(const CodesLayout& layout, size_t at) const {
      return Scales(layout, at + layout.HeaderBytes() / 2);
    }
  };

  // R rows × C vectors of columns over one group: sums of products, exact.
  template <int kBits, int R, int C>
  static void Products(const uint8_t* const (&codes)[C], const int8_t* const (&inputs)[R],
                       int columns, typename D::Ints (&sums)[R][C]) {
    using Dot = typename D::template Dot<kBits>;
    constexpr int kEightBytes = kPanel * kBits;
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sums[r][c] = D::Zero();
    }
    for (int first = 0; first < columns; first += Dot::kMostColumns) {
      const int last = columns - first < Dot::kMostColumns ? columns : first + Dot::kMostColumns;
      typename Dot::Sum parts[R][C];
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) parts[r][c] = Dot::Start(sums[r][c]);
      }
      for (int k = first; k < last; k += CodesLayout::kEight) {
        for (int half = 0; half < 2; ++half) {
          typename Dot::Weights weights[C];
          for (int c = 0; c < C; ++c) {
            const uint8_t* at = codes[c] + k / CodesLayout::kEight * kEightBytes;
            if (half == 0 || kBits == 8) V::Prefetch(at + half * kPanel * 4 + kAhead);
            weights[c] = Dot::Load(at, half);
          }
          for (int r = 0; r < R; ++r) {
            const auto x = D::Broadcast(inputs[r] + k + 4 * half);
            for (int c = 0; c < C; ++c) Dot::Add(weights[c], x, &parts[r][c]);
          }
        }
      }
      for (int r = 0; r < R; ++r) {
        for (int c = 0; c < C; ++c) sums[r][c] = Dot::Finish(parts[r][c], sums[r][c]);
      }
    }
  }

  template <int kBits, int R, int C>
  static void Tile(const LinearCodesArgs& args, int row, int vector) {
    const CodesLayout& layout = args.layout;
    const QuantizedRows& input = args.input;
    const size_t panel_bytes = layout.PanelBytes();
    // Codes are multiplied less this much; symmetric ones should be less the middle one.
    const int lowered = D::template Dot<kBits>::kLowered;
    const int shift = lowered - (layout.symmetric ? 1 << (kBits - 1) : 0);
    Columns columns[C];
    for (int c = 0; c < C; ++c) {
      columns[c] = {args.weight + static_cast<size_t>((vector + c) / kVectors) * panel_bytes,
                    (vector + c) % kVectors * V::kLanes};
    }
    V totals[R][C];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) totals[r][c] = V::Set(0);
    }
    const size_t header = layout.HeaderBytes();
    size_t at = 0;
    for (int group = 0; group < input.groups; ++group, at += layout.GroupBytes()) {
      const int first = group * layout.group;
      const int left = layout.cols - first;
      const uint8_t* codes[C];
      for (int c = 0; c < C; ++c) codes[c] = columns[c].panel + at + header + columns[c].first * 4;
      const int8_t* inputs[R];
      for (int r = 0; r < R; ++r) {
        inputs[r] = input.codes + static_cast<int64_t>(row + r) * input.padded + first;
      }
      typename D::Ints sums[R][C];
      Products<kBits, R, C>(codes, inputs, left < layout.group ? left : layout.group, sums);
      const auto group_of = [&](int r) {
        return static_cast<int64_t>(row + r) * input.groups + group;
      };
      if (shift != 0) {
        for (int r = 0; r < R; ++r) {
          const auto lift = D::Set(shift * input.code_sums[group_of(r)]);
          for (int c = 0; c < C; ++c) sums[r][c] = D::Plus(sums[r][c], lift);
        }
      }
      if (layout.whole_row) {
        for (int r = 0; r < R; ++r) {
          const V scale = V::Set(input.scales[group_of(r)]);
          for (int c = 0; c < C; ++c)
            totals[r][c] = V::Fma(D::ToFloats(sums[r][c]), scale, totals[r][c]);
        }
        continue;
      }
      for (int c = 0; c < C; ++c) {
        const V scales = columns[c].Scales(layout, at);
        for (int r = 0; r < R; ++r) {
          const V scale = scales * V::Set(input.scales[group_of(r)]);
          totals[r][c] = V::Fma(D::ToFloats(sums[r][c]), scale, totals[r][c]);
        }
        if (layout.symmetric) continue;
        const V minimums = columns[c].Minimums(layout, at);
        for (int r = 0; r < R; ++r) {
          totals[r][c] = V::Fma(minimums, V::Set(input.sums[group_of(r)]), totals[r][c]);
        }
      }
    }
    if (layout.whole_row) ScaleRows<R, C>(layout, input, columns, row, totals);
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) {
        Store(totals[r][c], args, (vector + c) * V::kLanes, args.out + int64_t{row + r} * args.n);
      }
    }
  }

  template <int R, int C>
  static void ScaleRows(const CodesLayout& layout, const QuantizedRows& input,
                        const Columns (&columns)[C], int row, V (&totals)[R][C]) {
    for (int c = 0; c < C; ++c) {
      const V scales = columns[c].Scales(layout, 0);
      for (int r = 0; r < R; ++r) totals[r][c] = totals[r][c] * scales;
      if (layout.symmetric) continue;
      const V minimums = columns[c].Minimums(layout, 0);
      for (int r = 0; r < R; ++r) {
        totals[r][c] = V::Fma(minimums, V::Set(input.row_sums[row + r]), totals[r][c]);
      }
    }
  }

  // Writes the columns of a vector that are below n.
  static void Store(V sum, const LinearCodesArgs& args, int column, float* row) {
    if (column >= args.n) return;
    if (args.bias != nullptr) sum = sum + V::Load(args.bias + column);
    Math<V>::StoreFirst(sum, args.n - column, row + column);
  }

  // Calls the tile of that many rows.
  template <int kBits, int R, int C>
  static void Dispatch(const LinearCodesArgs& args, int row, int rows, int vector) {
    if (rows < R) {
      if constexpr (R > 1) Dispatch<kBits, R - 1, C>(args, row, rows, vector);
    } else {
      Tile<kBits, R, C>(args, row, vector);
    }
  }

  template <int kBits>
  static void Panels(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    constexpr int kMaxRows = D::template Dot<kBits>::kAccumulators / 2;
    // Where rows are few, more columns share an input, and lines are read whole.
    constexpr int kFewRows = kMaxRows / 2;
    const int rows = last_row - first_row;
    const int tiles = (rows + kMaxRows - 1) / kMaxRows;
    const int last_vector = last_panel * kVectors;
    int vector = first_panel * kVectors;
    for (; rows <= kFewRows && vector + 4 <= last_vector; vector += 4) {
      Dispatch<kBits, kFewRows, 4>(args, first_row, rows, vector);
    }
    for (; vector < last_vector; vector += 2) {
      for (int tile = 0; tile < tiles; ++tile) {
        const int begin = rows * tile / tiles, end = rows * (tile + 1) / tiles;
        Dispatch<kBits, kMaxRows, 2>(args, first_row + begin, end - begin, vector);
      }
    }
  }

  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.layout.bits == 8) return Panels<8>(args, first_panel, last_panel, first_row, last_row);
    Panels<4>(args, first_panel, last_panel, first_row, last_row);
  }
};

// Inputs as codes from -127 to 127: the largest magnitude of a group becomes 127.
template <class V>
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

  // Returns the scale.
  static float Group(const float* from, int count, int8_t* codes, int32_t* sum) {
    const float largest = LargestMagnitude(from, count);
    const float inverse = largest < kLeast ? 0 : kHighest / largest;
    *sum = 0;
    for (int i = 0; i < count; i += V::kLanes) {
      float lanes[V::kLanes];
      V::Round(Math<V>::LoadFirst(from + i, count - i, 0) * V::Set(inverse)).Store(lanes);
      for (int lane = 0; lane < V::kLanes && i + lane < count; ++lane) {
        const auto code = static_cast<int32_t>(lanes[lane]);
        codes[i + lane] = static_cast<int8_t>(code);
        *sum += code;
      }
    }
    return largest < kLeast ? 0 : largest / kHighest;
  }

  static void Run(const float* input, const QuantizedRows& to, int first_row, int last_row) {
    for (int row = first_row; row < last_row; ++row) {
      const float* from = input + static_cast<int64_t>(row) * to.cols;
      int8_t* codes = to.codes + static_cast<int64_t>(row) * to.padded;
      const int64_t first_group = static_cast<int64_t>(row) * to.groups;
      float row_sum = 0;
      for (int group = 0; group < to.groups; ++group) {
        const int first = group * to.group;
        const int count = to.cols - first < to.group ? to.cols - first : to.group;
        int32_t sum;
        const float scale = Group(from + first, count, codes + first, &sum);
        const float scaled = scale * static_cast<float>(sum);
        to.scales[first_group + group] = scale;
        to.code_sums[first_group + group] = sum;
        to.sums[first_group + group] = scaled;
        row_sum += scaled;
      }
      to.row_sums[row] = row_sum;
      for (int i = to.cols; i < to.padded; ++i) codes[i] = 0;
    }
  }
};

}  // namespace octavo::cpu
