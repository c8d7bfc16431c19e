// Strips: what a tile reads of a weight of codes, C vectors of columns (of the output), which lie
// in one panel or are neighbouring panels. A tile takes its groups one after the other: BeginGroup,
// for each step of columns (of the input) Load and NextStep, and then the group's LoadHeaders.
#pragma once

#include "../kernels.h"
#include "code_products.h"
#include "compiler.h"

namespace octavo::cpu {

// What a group of columns brings besides its codes.
enum class GroupHeader : uint8_t { kNone, kScales, kScalesAndMinimums };

// Columns of a step; group is 0 where it has several.
static constexpr int StepOf(int group) { return group != 0 ? group : CodesLayout::kMostStep; }

// As a weight is packed.
template <class V, class D, int kCodeBits, GroupHeader kGroupHeader, int C>
struct PackedStrip {
  static constexpr int kBits = kCodeBits, kWidth = C;
  static constexpr GroupHeader kHeader = kGroupHeader;
  using Dot = DotOf<D, kBits>;
  static constexpr int kVectors = kPanel / V::kLanes;  // of columns in a panel
  static constexpr int kPanels = C > kVectors ? C / kVectors : 1;
  static constexpr int kEightBytes = kPanel * kBits;  // of eight columns of the input
  static constexpr bool kOpened = false;

  // `vector` of the weight's columns is the first.
  PackedStrip(const LinearCodesArgs& args, int vector)
      : layout(args.input.layout),
        panel_bytes(layout.PanelBytes()),
        panel(args.weight + vector / kVectors * panel_bytes),
        column(vector % kVectors * V::kLanes),
        header_bytes(layout.whole_row ? 0 : layout.HeaderBytes()),
        at(panel + (layout.whole_row ? layout.HeaderBytes() : 0)) {}

  void BeginGroup() {
    header = at;
    at += header_bytes;
    codes = at + column * 4;
  }

  template <int kStep>
  void NextStep() {
    at += kStep * kPanel * kBits / 8;
    codes = at + column * 4;
  }

  // Begins a group out of turn.
  void GoTo(int group) {
    at = panel + (layout.whole_row ? layout.HeaderBytes() : 0) + group * layout.GroupBytes();
    BeginGroup();
  }

  // The i-th columns of the step, as many as a lane has.
  OCTAVO_INLINE auto Load(const Dot& dot, int i, int c) const {
    constexpr int kOfEight = 8 / Dot::kColumns;
    return dot.Load(codes + i / kOfEight * kEightBytes + VectorAt(c, 4), i % kOfEight);
  }

  // From the strip's first vector to another one, of so many bytes a column.
  OCTAVO_INLINE size_t VectorAt(int c, size_t bytes) const {
    return c / kVectors * panel_bytes + c % kVectors * V::kLanes * bytes;
  }

  OCTAVO_INLINE void LoadHeaders(V (&scales)[C], V (&minimums)[C]) const {
    if (kHeader == GroupHeader::kNone) return;
    layout.half ? LoadHeadersOf<Float16>(scales, minimums) : LoadHeadersOf<float>(scales, minimums);
  }

  template <class T>
  OCTAVO_INLINE void LoadHeadersOf(V (&scales)[C], V (&minimums)[C]) const {
    for (int c = 0; c < C; ++c) {
      const T* first = HeaderAt<T>(header, c);
      scales[c] = V::Load(first);
      if (kHeader == GroupHeader::kScalesAndMinimums) minimums[c] = V::Load(first + kPanel);
    }
  }

  // Of a vector, where the strip's first panel has its own at `from`.
  template <class T>
  OCTAVO_INLINE const T* HeaderAt(const uint8_t* from, int c) const {
    return reinterpret_cast<const T*>(from + VectorAt(c, sizeof(T))) + column;
  }

  // What a scale and a minimum a row make of the sum of its groups, in one vector.
  V ScaleRow(int c, float row_sum, V total) const {
    const V scaled = total * RowHeader(panel, c);
    if (layout.symmetric) return scaled;
    return V::Fma(RowHeader(panel + layout.HeaderBytes() / 2, c), V::Set(row_sum), scaled);
  }

  V RowHeader(const uint8_t* from, int c) const {
    return layout.half ? V::Load(HeaderAt<Float16>(from, c)) : V::Load(HeaderAt<float>(from, c));
  }

  // What follows in each of its panels.
  const uint8_t* At(int of) const { return at + of * panel_bytes; }

  const CodesLayout& layout;
  size_t panel_bytes;
  const uint8_t* panel;
  int column;  // of the panel
  size_t header_bytes;
  const uint8_t* at;
  const uint8_t* header = nullptr;
  const uint8_t* codes = nullptr;
};

// Opened: codes of 4 bits as bytes, scales and minimums as floats, so that many rows do not take
// them apart again and again. A group is [scales, minimums][C][lanes], then [k / 4][C][lanes][4].
template <class V, class D, GroupHeader kGroupHeader, int C>
struct OpenedStrip {
  static constexpr int kBits = 4, kWidth = C;
  static constexpr GroupHeader kHeader = kGroupHeader;
  using Packed = PackedStrip<V, D, kBits, kHeader, C>;
  using Dot = typename Packed::Dot;
  static constexpr int kFour = V::kLanes * 4;  // bytes of four columns and a vector
  static constexpr int kHeaderBytes = 2 * C * kFour;
  static constexpr int kPanels = Packed::kPanels;
  static constexpr bool kOpened = true;
  static_assert(C * V::kLanes == CodesLayout::kOpenedColumns, "room is made for so many");

  OpenedStrip(const LinearCodesArgs& args, int vector) : packed(args, vector), codes(args.opened) {}

  // Opens the strip that begins with this vector of columns.
  template <int kStep>
  static void Open(const LinearCodesArgs& args, int vector) {
    const CodesLayout& layout = args.input.layout;
    Packed from(args, vector);
    const Dot dot(layout);
    uint8_t* to = args.opened;
    for (int left = layout.Padded(); left > 0; left -= layout.group) {
      from.BeginGroup();
      V headers[2][C] = {};
      from.LoadHeaders(headers[0], headers[1]);
      for (int i = 0; i < 2 * C; ++i)
        headers[i / C][i % C].Store(reinterpret_cast<float*>(to + i * kFour));
      to += kHeaderBytes;
      for (int step = 0; step < left && step < layout.group; step += kStep) {
        OCTAVO_UNROLL for (int four = 0; four < kStep / 4; ++four) {
          OCTAVO_UNROLL for (int c = 0; c < C; ++c, to += kFour)
              D::KeepBytes(from.Load(dot, four, c), to);
        }
        from.template NextStep<kStep>();
      }
    }
  }

  void BeginGroup() {
    packed.BeginGroup();
    header = reinterpret_cast<const float*>(codes);
    codes += kHeaderBytes;
  }

  template <int kStep>
  void NextStep() {
    packed.template NextStep<kStep>();
    codes += kStep / 4 * C * kFour;
  }

  OCTAVO_INLINE auto Load(const Dot&, int four, int c) const {
    return D::LoadBytes(codes + (four * C + c) * kFour);
  }

  OCTAVO_INLINE void LoadHeaders(V (&scales)[C], V (&minimums)[C]) const {
    for (int c = 0; c < C; ++c) {
      scales[c] = V::Load(header + c * V::kLanes);
      if (kHeader == GroupHeader::kScalesAndMinimums)
        minimums[c] = V::Load(header + (C + c) * V::kLanes);
    }
  }

  const uint8_t* At(int of) const { return packed.At(of); }

  Packed packed;  // where the same codes lie in the panel
  const uint8_t* codes;
  const float* header = nullptr;
};

}  // namespace octavo::cpu
