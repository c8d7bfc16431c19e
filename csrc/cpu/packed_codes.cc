#include "packed_codes.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "half.h"
#include "packed_words.h"

namespace octavo::cpu {
namespace {

using Wholes = decltype(CodeLevels::whole);

void WriteHeader(const CodesLayout& layout, uint8_t* at, int column, float value) {
  if (layout.half) {
    FromFloat(value, reinterpret_cast<Float16*>(at) + column);
  } else {
    reinterpret_cast<float*>(at)[column] = value;
  }
}

float ReadHeader(const CodesLayout& layout, const uint8_t* at, int column) {
  return layout.half ? ToFloat(reinterpret_cast<const Float16*>(at)[column])
                     : reinterpret_cast<const float*>(at)[column];
}

// Where the header of a group lies in its panel, and where its codes.
size_t HeaderAt(const CodesLayout& layout, int group) {
  return layout.whole_row ? 0 : layout.GroupBytes() * group;
}
size_t CodesAt(const CodesLayout& layout, int group) {
  return layout.GroupBytes() * group + layout.HeaderBytes();
}

// The byte of a group's code, and the shift of its bits.
struct Place {
  size_t byte;
  int shift;
};
Place PlaceOf(const CodesLayout& layout, int k, int column) {
  const size_t four = static_cast<size_t>(k) / 4, within = static_cast<size_t>(column) * 4 + k % 4;
  if (layout.bits == 8) return {four * kPanel * 4 + within, 0};
  return {four / 2 * kPanel * 4 + within, static_cast<int>(four % 2) * 4};
}

// One row's codes while they are on the way to a panel.
struct Scratch {
  explicit Scratch(const CodesLayout& layout)
      : numbers(layout.cols), scales(layout.Groups()), minimums(scales), codes(layout.Padded()) {}
  std::vector<float> numbers, scales, minimums;
  std::vector<uint8_t> codes;  // zeros beyond the columns
};

// Four codes that lie side by side.
uint32_t FourCodes(const uint8_t* codes) {
  uint32_t four;
  std::memcpy(&four, codes, sizeof(four));
  return four;
}

// The codes of one row of a group, `count` of them and zeros up to a whole step, where PlaceOf
// says.
void WriteCodes(const CodesLayout& layout, const uint8_t* codes, int count, int column,
                uint8_t* to) {
  constexpr int kFour = 4, kStride = kPanel * kFour;
  to += static_cast<size_t>(column) * kFour;
  for (int k = 0; k < count; k += kFour * 8 / layout.bits, to += kStride) {
    uint32_t word = FourCodes(codes + k);
    if (layout.bits == 4) word |= FourCodes(codes + k + kFour) << 4;
    std::memcpy(to, &word, sizeof(word));
  }
}

void WriteColumn(const CodesLayout& layout, const Scratch& row, int column, uint8_t* panel) {
  for (int group = 0; group < layout.Groups(); ++group) {
    if (group == 0 || !layout.whole_row) {
      uint8_t* header = panel + HeaderAt(layout, group);
      WriteHeader(layout, header, column, row.scales[group]);
      if (!layout.symmetric)
        WriteHeader(layout, header + layout.HeaderBytes() / 2, column, row.minimums[group]);
    }
    const int first = group * layout.group;
    WriteCodes(layout, row.codes.data() + first, std::min(layout.group, layout.cols - first),
               column, panel + CodesAt(layout, group));
  }
}

// Rows whose codes are quantised from their numbers, whatever is stored.
class NumbersOf : public RowDecoder {
 public:
  explicit NumbersOf(std::shared_ptr<const RowDecoder> stored)
      : RowDecoder(stored->cols()), stored_(std::move(stored)) {}
  void Numbers(int64_t row, float* to) const override { stored_->Numbers(row, to); }

 private:
  std::shared_ptr<const RowDecoder> stored_;
};

}  // namespace

CodesLayout LayoutOf(const Quantization& form, int cols, const std::vector<SourceRows>& sources) {
  CodesLayout layout;
  layout.bits = form.bits;
  layout.cols = cols;
  layout.whole_row = form.group == 0;
  layout.group = layout.whole_row ? CodesLayout::kWholeRowGroup : form.group;
  layout.symmetric = true;
  layout.half = !layout.whole_row;
  if (layout.IsWords()) return layout;  // made of numbers, whatever is stored
  for (const SourceRows& source : sources) {
    const CodeTraits traits = source.decoder->Traits(form);
    layout.symmetric = layout.symmetric && traits.symmetric;
    layout.half = layout.half && traits.half;
    if (form.levels) layout.SetLevels(traits.levels->whole.data());
  }
  return layout;
}

std::vector<int32_t> ColumnOrderOf(std::vector<SourceRows>* sources, Quantization* form) {
  if (form->bits == CodesLayout::kWordBits) return {};
  const auto order_of = [](const SourceRows& source) {
    const std::vector<int32_t>* order = source.decoder->ColumnOrder();
    return order == nullptr ? std::vector<int32_t>() : *order;
  };
  std::vector<int32_t> order = order_of(sources->at(0));
  const auto levels_of = [&](const SourceRows& source) {
    return form->levels ? source.decoder->Traits(*form).levels->whole : Wholes();
  };
  const Wholes levels = levels_of(sources->at(0));
  const bool same = std::all_of(sources->begin(), sources->end(), [&](const SourceRows& source) {
    return order_of(source) == order && levels_of(source) == levels;
  });
  if (same) return order;
  form->bits = 8;
  form->levels = false;
  for (SourceRows& source : *sources)
    source.decoder = std::make_shared<NumbersOf>(std::move(source.decoder));
  return {};
}

void PackCodes(const Quantization& form, const std::vector<SourceRows>& sources,
               const PackedWeight& packed, int panel, uint8_t* to) {
  const CodesLayout& layout = packed.codes;
  if (layout.IsWords()) return PackWords(sources, packed, panel, to);
  Scratch scratch(layout);
  const CodeRow codes{scratch.codes.data(), scratch.scales.data(), scratch.minimums.data()};
  ForRowsOf(panel, packed, sources, [&](int column, const RowDecoder& decoder, int64_t row) {
    decoder.Codes(row, form, scratch.numbers.data(), codes);
    WriteColumn(layout, scratch, column, to);
  });
}

void UnpackCodes(const PackedWeight& weight, int row, float scale, float* to) {
  const CodesLayout& layout = weight.codes;
  const uint8_t* panel = weight.data + layout.PanelBytes() * (row / kPanel);
  if (layout.IsWords()) return UnpackWords(layout, panel, row % kPanel, scale, to);
  const int column = row % kPanel, mask = (1 << layout.bits) - 1;
  for (int group = 0; group < layout.Groups(); ++group) {
    const uint8_t* header = panel + HeaderAt(layout, group);
    const float step = ReadHeader(layout, header, column);
    const float minimum = layout.symmetric
                              ? -static_cast<float>(layout.Middle()) * step
                              : ReadHeader(layout, header + layout.HeaderBytes() / 2, column);
    const uint8_t* codes = panel + CodesAt(layout, group);
    const int first = group * layout.group;
    const int count = std::min(layout.group, layout.cols - first);
    for (int k = 0; k < count; ++k) {
      const Place place = PlaceOf(layout, k, column);
      const auto value =
          static_cast<float>(layout.ValueOf(codes[place.byte] >> place.shift & mask));
      const int i = first + k;
      const int at = weight.column_order.empty() ? i : weight.column_order[static_cast<size_t>(i)];
      to[at] = (step * value + minimum) * scale;
    }
  }
}

}  // namespace octavo::cpu
