// Where a tile of products finds the codes of a panel: packed, as they lie in memory, or opened.
#pragma once

#include "vector_math.h"

namespace octavo::cpu {

// What a group of columns brings besides its codes.
enum class GroupHeader : uint8_t { kNone, kScales, kScalesAndMinimums };

// D holds the products of codes of an instruction set (see code_products.h). Readers stand at a
// vector of a panel's outputs and go from group to group, and within it from step to step.
template <class V, class D, int kBits, GroupHeader kHeader>
struct PanelCodes {
  using Dot = typename D::template Dot<kBits>;
  using Weights = typename Dot::Weights;
  static constexpr int kVectors = kPanel / V::kLanes;  // of outputs in a panel
  static constexpr int kEightBytes = kPanel * kBits;   // of eight columns

  // Scales and minimums of C vectors of outputs.
  template <class T, int C>
  static OCTAVO_INLINE void LoadHeaders(const T* at, V (&scales)[C], V (&minimums)[C]) {
    for (int c = 0; c < C; ++c) {
      scales[c] = V::Load(at + c * V::kLanes);
      if (kHeader == GroupHeader::kScalesAndMinimums)
        minimums[c] = V::Load(at + kPanel + c * V::kLanes);
    }
  }

  class Packed {
   public:
    static constexpr bool kAllColumns = true;  // whether each tile reads all columns

    Packed(const CodesLayout& layout, const uint8_t* panel, int output)
        : dot_(layout),
          at_(panel + (layout.whole_row ? layout.HeaderBytes() : 0)),
          header_bytes_(layout.whole_row ? 0 : layout.HeaderBytes()),
          half_(layout.half),
          output_(output) {}

    OCTAVO_INLINE void BeginGroup() {
      header_ = at_;
      at_ += header_bytes_;
    }

    // Fetches as much as a step and its header take.
    template <int kStep>
    OCTAVO_INLINE void BeginStep() {
      constexpr int kLine = 64, kMostHeader = 2 * kPanel * 2;
      constexpr int kBytes = kStep * kPanel * kBits / 8;
      OCTAVO_UNROLL for (int i = 0; i < kBytes + kMostHeader; i += kLine)
          V::Prefetch(at_ + kAhead + i);
      codes_ = at_ + output_ * 4;
      at_ += kBytes;
    }

    // Goes to the eight columns of the group of which `column` is one, as if a step began there.
    void GoTo(int column) {
      codes_ = at_ + column / CodesLayout::kEight * kEightBytes + output_ * 4;
    }

    // Four columns of the step, for the c-th vector of outputs from the reader's on.
    OCTAVO_INLINE Weights Load(int four, int c) const {
      return dot_.Load(codes_ + four / 2 * kEightBytes + c * V::kLanes * 4, four % 2);
    }

    template <int C>
    OCTAVO_INLINE void Headers(V (&scales)[C], V (&minimums)[C]) const {
      if (kHeader == GroupHeader::kNone) return;
      if (half_) {
        LoadHeaders(reinterpret_cast<const Float16*>(header_) + output_, scales, minimums);
      } else {
        LoadHeaders(reinterpret_cast<const float*>(header_) + output_, scales, minimums);
      }
    }

    const uint8_t* codes() const { return codes_; }  // of the step
    static constexpr int kEightBytes = PanelCodes::kEightBytes;

   private:
    static constexpr size_t kAhead = size_t{16}
                                     << 10;  // bytes: codes come from memory for the first rows
    Dot dot_;
    const uint8_t* at_;
    const uint8_t *header_ = nullptr, *codes_ = nullptr;
    size_t header_bytes_;
    bool half_;
    int output_;
  };

  // Columns of a panel whose codes and headers lie as products take them, for many tiles of rows.
  struct Opened {
    // With the inputs of a tile of rows they stay in the first-level cache.
    static constexpr int kBytes = 20 << 10;
    static constexpr int kColumns = RoundUp(
        kBytes / (kVectors * static_cast<int>(sizeof(Weights)) / 4) - CodesLayout::kMostGroup + 1,
        CodesLayout::kMostGroup);

    // `columns` from where the reader, which stands at a panel's first output, is.
    void Fill(const CodesLayout& layout, Packed from, int columns) {
      auto* to = weights;
      const int step = layout.Step();
      for (int group = 0, left = columns; left > 0; left -= layout.group, ++group) {
        from.BeginGroup();
        from.Headers(scales[group], minimums[group]);
        const int end = left < layout.group ? left : layout.group;
        for (int column = 0; column < end; column += step) {
          if (step == CodesLayout::kMostStep) {
            to = FillStep<CodesLayout::kMostStep>(&from, to);
          } else {
            to = FillStep<CodesLayout::kLeastGroup>(&from, to);
          }
        }
      }
    }

    Weights weights[kColumns / 4][kVectors];
    V scales[kColumns / CodesLayout::kLeastGroup][kVectors];
    V minimums[kColumns / CodesLayout::kLeastGroup][kVectors];

   private:
    using Four = Weights[kVectors];

    template <int kStep>
    static Four* FillStep(Packed* from, Four* to) {
      from->template BeginStep<kStep>();
      OCTAVO_UNROLL for (int four = 0; four < kStep / 4; ++four) {
        OCTAVO_UNROLL for (int c = 0; c < kVectors; ++c) to[four][c] = from->Load(four, c);
      }
      return to + kStep / 4;
    }
  };

  class OpenedReader {
   public:
    static constexpr bool kAllColumns = false;

    OpenedReader(const Opened& opened, int output)
        : first_(output / V::kLanes),
          next_(opened.weights),
          scales_(opened.scales - 1),
          minimums_(opened.minimums - 1) {}

    OCTAVO_INLINE void BeginGroup() { ++scales_, ++minimums_; }

    template <int kStep>
    OCTAVO_INLINE void BeginStep() {
      step_ = next_;
      next_ += kStep / 4;
    }

    OCTAVO_INLINE Weights Load(int four, int c) const { return step_[four][first_ + c]; }

    template <int C>
    OCTAVO_INLINE void Headers(V (&scales)[C], V (&minimums)[C]) const {
      for (int c = 0; c < C; ++c) {
        if (kHeader != GroupHeader::kNone) scales[c] = (*scales_)[first_ + c];
        if (kHeader == GroupHeader::kScalesAndMinimums) minimums[c] = (*minimums_)[first_ + c];
      }
    }

   private:
    int first_;
    const Weights (*next_)[kVectors], (*step_)[kVectors] = nullptr;
    const V (*scales_)[kVectors], (*minimums_)[kVectors];
  };
};

}  // namespace octavo::cpu
