// out = input · weightᵀ + bias for a weight of codes and inputs quantised to signed bytes. Products
// are added in integers, exactly, a group of columns at a time; groups are then folded in order:
//   sum = sum + Σ products × (weight scale × input scale), and, if there are minimums,
//   sum = sum + minimum × (input scale × Σ input codes),
// each one multiply-add. The sum begins with the products of the rows' outliers. Where the weight's
// scale is a row's, it multiplies the folded sum instead.
#pragma once

#include "codes_tile.h"

namespace octavo::cpu {

// D holds the products of codes of an instruction set (see code_products.h).
template <class V, class D>
struct LinearCodes {
  static constexpr int kVectors = kPanel / V::kLanes;  // of outputs in a panel
  static constexpr int kOpensFrom = 24;  // rows: for fewer, opening costs more than it saves

  // Calls the tile of that many rows, at most R.
  template <int kBits, GroupHeader kHeader, int kGroup, int R, int C, class Reader>
  static void Dispatch(const LinearCodesArgs& args, const TilePlace& at, const Reader& codes,
                       int row, int rows) {
    if (rows < R) {
      if constexpr (R > 1) Dispatch<kBits, kHeader, kGroup, R - 1, C>(args, at, codes, row, rows);
    } else {
      CodesTile<V, D, kBits, kHeader>::template Run<kGroup, R, C>(args, at, codes, row);
    }
  }

  // Two vectors from `at` on, of all rows.
  template <int kBits, GroupHeader kHeader, int kGroup, class Reader>
  static void Rows(const LinearCodesArgs& args, const TilePlace& at, const Reader& codes,
                   int first_row, int last_row) {
    for (int row = first_row; row < last_row; row += D::kRows) {
      const int rows = last_row - row < D::kRows ? last_row - row : D::kRows;
      Dispatch<kBits, kHeader, kGroup, D::kRows, 2>(args, at, codes, row, rows);
    }
  }

  // A panel as it lies in memory.
  template <int kBits, GroupHeader kHeader, int kGroup>
  static void PackedPanel(const LinearCodesArgs& args, TilePlace at, int first_row, int last_row) {
    using Packed = typename PanelCodes<V, D, kBits, kHeader>::Packed;
    constexpr int kWide = kVectors < 4 ? kVectors : 4;  // vectors beside each other for few rows
    const CodesLayout& layout = args.input.layout;
    if (kWide > 2 && last_row - first_row <= D::kRows / 2) {
      for (; at.output < kPanel; at.output += kWide * V::kLanes)
        Dispatch<kBits, kHeader, kGroup, D::kRows / 2, kWide>(
            args, at, Packed(layout, at.panel, at.output), first_row, last_row - first_row);
    }
    for (; at.output < kPanel; at.output += 2 * V::kLanes)
      Rows<kBits, kHeader, kGroup>(args, at, Packed(layout, at.panel, at.output), first_row,
                                   last_row);
  }

  // A panel that is opened for all rows, as many columns at a time as there is room for.
  template <int kBits, GroupHeader kHeader, int kGroup>
  static void OpenedPanel(const LinearCodesArgs& args, TilePlace at, int first_row, int last_row) {
    using Panel = PanelCodes<V, D, kBits, kHeader>;
    typename Panel::Opened opened;
    const CodesLayout& layout = args.input.layout;
    const int all = args.input.padded, parts = (all + opened.kColumns - 1) / opened.kColumns;
    const int columns = RoundUp((all + parts - 1) / parts, layout.group);
    for (; at.begin < all; at.begin = at.end) {
      at.end = at.begin + columns < all ? at.begin + columns : all;
      at.first_group = at.begin / layout.group;
      const uint8_t* group = at.panel + at.first_group * layout.GroupBytes();
      opened.Fill(layout, typename Panel::Packed(layout, group, 0), at.end - at.begin);
      for (at.output = 0; at.output < kPanel; at.output += 2 * V::kLanes)
        Rows<kBits, kHeader, kGroup>(args, at, typename Panel::OpenedReader(opened, at.output),
                                     first_row, last_row);
    }
  }

  template <int kBits, GroupHeader kHeader, int kGroup>
  static void Panels(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    const size_t bytes = args.input.layout.PanelBytes();
    for (int panel = first_panel; panel < last_panel; ++panel) {
      const TilePlace at{args.weight + panel * bytes, panel, 0, 0, args.input.padded, 0};
      if constexpr (D::template Dot<kBits>::kOpens) {
        if (last_row - first_row >= kOpensFrom) {
          OpenedPanel<kBits, kHeader, kGroup>(args, at, first_row, last_row);
          continue;
        }
      }
      PackedPanel<kBits, kHeader, kGroup>(args, at, first_row, last_row);
    }
  }

  template <int kBits, GroupHeader kHeader>
  static void Groups(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                     int last_row) {
    switch (args.input.layout.group) {
      case 16:
        return Panels<kBits, kHeader, 16>(args, first_panel, last_panel, first_row, last_row);
      case 32:
        return Panels<kBits, kHeader, 32>(args, first_panel, last_panel, first_row, last_row);
      default: return Panels<kBits, kHeader, 0>(args, first_panel, last_panel, first_row, last_row);
    }
  }

  template <int kBits>
  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.input.layout.whole_row) {
      Panels<kBits, GroupHeader::kNone, CodesLayout::kWholeRowGroup>(args, first_panel, last_panel,
                                                                     first_row, last_row);
    } else if (args.input.layout.symmetric) {
      Groups<kBits, GroupHeader::kScales>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Groups<kBits, GroupHeader::kScalesAndMinimums>(args, first_panel, last_panel, first_row,
                                                     last_row);
    }
  }

  static void Run(const LinearCodesArgs& args, int first_panel, int last_panel, int first_row,
                  int last_row) {
    if (args.input.layout.bits == 8) {
      Run<8>(args, first_panel, last_panel, first_row, last_row);
    } else {
      Run<4>(args, first_panel, last_panel, first_row, last_row);
    }
  }
};

}  // namespace octavo::cpu
