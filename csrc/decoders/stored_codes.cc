#include "stored_codes.h"

#include <vector>

namespace octavo {

bool StoredCodes::Holds(const Quantization& form) const {
  if (form.bits < form_.bits || form.levels != form_.levels) return false;
  if (form.group == 0 || form_.group == 0) return form_.group == 0;
  return form_.group % form.group == 0;
}

CodeTraits StoredCodes::Traits(const Quantization& form) const {
  if (!Holds(form)) return RowDecoder::Traits(form);
  CodeTraits traits = StoredTraits();
  traits.symmetric = traits.symmetric && form.bits == form_.bits;
  return traits;
}

void StoredCodes::Codes(int64_t row, const Quantization& form, float* scratch,
                        const CodeRow& to) const {
  if (!Holds(form)) return RowDecoder::Codes(row, form, scratch, to);
  Decode(row, to);
  const int64_t stored = GroupSize(), wanted = form.group == 0 ? cols() : form.group;
  if (stored == wanted) return;
  // A stored group becomes several; from the last on, so that none is overwritten before it is
  // read.
  for (int64_t group = GroupsOf(form, cols()); group-- > 0;) {
    const int64_t from = group * wanted / stored;
    to.scales[group] = to.scales[from];
    to.minimums[group] = to.minimums[from];
  }
}

void StoredCodes::Numbers(int64_t row, float* to) const {
  const int64_t size = GroupSize(), groups = (cols() + size - 1) / size;
  std::vector<uint8_t> codes(static_cast<size_t>(cols()));
  std::vector<float> scales(static_cast<size_t>(groups)), minimums(scales);
  Decode(row, {codes.data(), scales.data(), minimums.data()});
  const std::vector<int32_t>* order = ColumnOrder();
  for (int64_t i = 0; i < cols(); ++i) {
    const auto group = static_cast<size_t>(i / size);
    const float number = ValueOf(codes[static_cast<size_t>(i)], StoredTraits());
    const int64_t column = order == nullptr ? i : (*order)[static_cast<size_t>(i)];
    to[column] = scales[group] * number + minimums[group];
  }
}

}  // namespace octavo
