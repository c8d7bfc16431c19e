#include "packed_integers.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <vector>

#include "scales.h"
#include "stored_codes.h"

namespace octavo {
namespace {

int64_t DivideUp(int64_t a, int64_t b) { return (a + b - 1) / b; }

uint32_t Word(const uint8_t* data, int64_t i) {
  uint32_t word;
  std::memcpy(&word, data + static_cast<size_t>(i) * sizeof word, sizeof word);
  return word;
}

// A code of `bits` bits in a little-endian word that holds several.
uint8_t CodeIn(uint32_t word, int bits, int64_t place) {
  return static_cast<uint8_t>(word >> place * bits & ((1u << bits) - 1));
}

// How a matrix [lines, length] of codes is packed along its lines.
struct Packing {
  int bits = 4;
  int64_t length = 0;
  const int* order = nullptr;  // place of each code of a word; null: the first is lowest

  int64_t PerWord() const { return 32 / bits; }
  int64_t WordsPerLine() const { return DivideUp(length, PerWord()); }
  uint64_t Bytes(int64_t lines) const { return static_cast<uint64_t>(lines * WordsPerLine()) * 4; }
  uint8_t At(const uint8_t* data, int64_t line, int64_t i) const {
    const int64_t place = i % PerWord();
    const uint32_t word = Word(data, line * WordsPerLine() + i / PerWord());
    return CodeIn(word, bits, order == nullptr ? place : order[place]);
  }
};

void CheckBytes(const StoredPart& part, uint64_t wanted, const char* what) {
  if (part.bytes != wanted)
    throw std::runtime_error(std::to_string(part.bytes) + " bytes of " + what + ", expected " +
                             std::to_string(wanted));
}

// Where the nibble of each of eight neighbouring columns stands in AWQ's words.
constexpr int kAwqOrder[8] = {0, 4, 1, 5, 2, 6, 3, 7};

int BitsOf(const StoredTensor& tensor) { return tensor.encoding.back() - '0'; }

bool Is(const StoredTensor& tensor, const char* family) {
  return tensor.encoding.compare(0, std::strlen(family), family) == 0;
}

int64_t GroupsIn(const StoredTensor& tensor) {
  return tensor.group == 0 ? 1 : DivideUp(tensor.cols, tensor.group);
}

// Columns so that each group's lie together, where they do not; empty where they do.
std::vector<int32_t> OrderByGroup(const StoredTensor& tensor) {
  const StoredPart groups = tensor.Part("groupOfColumn");
  if (groups.type.empty() || tensor.group == 0) return {};
  CheckBytes(groups, static_cast<uint64_t>(tensor.cols) * 4, "groups of columns");
  if (groups.type != "I32") throw std::runtime_error("groups of columns of type " + groups.type);
  const auto group_of = [&](int64_t column) { return int64_t{Word(groups.data, column)}; };
  std::vector<int32_t> order(static_cast<size_t>(tensor.cols));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int32_t a, int32_t b) { return group_of(a) < group_of(b); });
  bool sorted = true;
  for (int64_t i = 0; i < tensor.cols; ++i) {
    const int32_t column = order[static_cast<size_t>(i)];
    if (group_of(column) != i / tensor.group)
      throw std::runtime_error("column " + std::to_string(column) + " is of group " +
                               std::to_string(group_of(column)) + ", groups are not of " +
                               std::to_string(tensor.group) + " columns each");
    sorted = sorted && column == i;
  }
  return sorted ? std::vector<int32_t>() : order;
}

// number = scale × (code − zero). Subclasses say where codes, scales and zeros lie.
class IntegerRows : public StoredCodes {
 public:
  explicit IntegerRows(const StoredTensor& tensor)
      : StoredCodes(tensor.cols, {BitsOf(tensor), static_cast<int>(tensor.group)}),
        tensor_(tensor),
        bits_(BitsOf(tensor)),
        groups_(GroupsIn(tensor)),
        zero_points_(tensor.Part("zeros")),
        scales_(tensor.Part("scales"), tensor.rows * groups_),
        factor_(Is(tensor, "scb") ? 1.0f / 127 : 1),
        order_(OrderByGroup(tensor)) {}

 protected:
  void Decode(int64_t row, const CodeRow& to) const override {
    for (int64_t i = 0; i < cols(); ++i)
      to.codes[i] = Code(row, order_.empty() ? i : order_[static_cast<size_t>(i)]);
    for (int64_t group = 0; group < groups_; ++group) {
      to.scales[group] = scales_[ScaleAt(row, group)] * factor_;
      to.minimums[group] = -to.scales[group] * static_cast<float>(Zero(row, group));
    }
  }

  const std::vector<int32_t>* ColumnOrder() const override {
    return order_.empty() ? nullptr : &order_;
  }

  // Call at the end of each constructor: a tensor whose zeros are all in the middle is symmetric.
  void FindTraits() {
    symmetric_ = true;
    for (int64_t row = 0; row < tensor_.rows && symmetric_; ++row)
      for (int64_t group = 0; group < groups_ && symmetric_; ++group)
        symmetric_ = Zero(row, group) == Middle();
  }
  CodeTraits StoredTraits() const override {
    return {symmetric_, symmetric_ && scales_.half() && factor_ == 1};
  }

  int Middle() const { return 1 << (bits_ - 1); }

  virtual uint8_t Code(int64_t row, int64_t column) const = 0;
  virtual int64_t ScaleAt(int64_t row, int64_t group) const = 0;
  virtual int Zero(int64_t row, int64_t group) const = 0;

  const StoredTensor tensor_;
  const int bits_;
  const int64_t groups_;
  const StoredPart zero_points_;

 private:
  Scales scales_;
  float factor_;  // bitsandbytes keeps the largest magnitude of a row instead of its scale
  std::vector<int32_t> order_;
  bool symmetric_ = false;
};

// GPTQ and AWQ keep columns as lines; zero points are packed along rows.
class ByColumns : public IntegerRows {
 public:
  explicit ByColumns(const StoredTensor& tensor)
      : IntegerRows(tensor),
        awq_(Is(tensor, "awq")),
        zeros_{bits_, tensor.rows, awq_ ? kAwqOrder : nullptr},
        less_one_(Is(tensor, "gptq") && !Is(tensor, "gptq_v2")) {
    const uint64_t words = awq_ ? zeros_.Bytes(tensor.cols)
                                : static_cast<uint64_t>(tensor.rows) * 4 *
                                      static_cast<uint64_t>(DivideUp(tensor.cols, 32 / bits_));
    CheckBytes(tensor.codes, words, "codes");
    CheckBytes(zero_points_, zeros_.Bytes(groups_), "zero points");
    FindTraits();
  }

 protected:
  // AWQ packs the codes of eight rows in a word, GPTQ those of eight columns.
  uint8_t Code(int64_t row, int64_t column) const override {
    if (awq_) return zeros_.At(tensor_.codes.data, column, row);
    const int64_t per_word = 32 / bits_;
    const uint32_t word = Word(tensor_.codes.data, column / per_word * tensor_.rows + row);
    return CodeIn(word, bits_, column % per_word);
  }
  int64_t ScaleAt(int64_t row, int64_t group) const override { return group * tensor_.rows + row; }
  int Zero(int64_t row, int64_t group) const override {
    return zeros_.At(zero_points_.data, group, row) + (less_one_ ? 1 : 0);
  }

 private:
  bool awq_;
  Packing zeros_;  // of AWQ's codes too: lines are groups, or columns
  bool less_one_;  // GPTQ's first version stores zero points less one
};

// compressed-tensors and torchao keep rows as lines: unsigned codes in words, or signed bytes, in
// which torchao keeps numbers of 4 bits too.
class ByRows : public IntegerRows {
 public:
  explicit ByRows(const StoredTensor& tensor)
      : IntegerRows(tensor),
        packed_(Is(tensor, "packed")),
        codes_{bits_, tensor.cols},
        zeros_{bits_, tensor.rows} {
    const auto elements = static_cast<uint64_t>(tensor.rows * tensor.cols);
    CheckBytes(tensor.codes, packed_ ? codes_.Bytes(tensor.rows) : elements, "codes");
    const auto zeros = static_cast<uint64_t>(tensor.rows * groups_);
    if (PackedZeros()) {
      CheckBytes(zero_points_, zeros_.Bytes(1) * static_cast<uint64_t>(groups_), "zero points");
    } else if (!zero_points_.type.empty()) {
      if (zero_points_.type != "I8")
        throw std::runtime_error("zero points of type " + zero_points_.type);
      if (zero_points_.bytes != 1) CheckBytes(zero_points_, zeros, "zero points");
    }
    FindTraits();
  }

 protected:
  uint8_t Code(int64_t row, int64_t column) const override {
    if (packed_) return codes_.At(tensor_.codes.data, row, column);
    const int byte = static_cast<int8_t>(tensor_.codes.data[row * cols() + column]);
    return static_cast<uint8_t>((byte + Middle()) & (2 * Middle() - 1));
  }
  int64_t ScaleAt(int64_t row, int64_t group) const override { return row * groups_ + group; }
  int Zero(int64_t row, int64_t group) const override {
    if (zero_points_.type.empty()) return Middle();
    if (!PackedZeros()) {  // one a group, or one for all
      const int64_t at = zero_points_.bytes == 1 ? 0 : row * groups_ + group;
      return static_cast<int8_t>(zero_points_.data[at]) + Middle();
    }
    const int64_t per_word = zeros_.PerWord();
    const uint32_t word = Word(zero_points_.data, row / per_word * groups_ + group);
    return CodeIn(word, bits_, row % per_word);
  }

 private:
  // Packed along rows, a word of several rows for each group.
  bool PackedZeros() const { return zero_points_.type == "I32"; }

  bool packed_;
  Packing codes_, zeros_;
};

}  // namespace

bool IsPackedIntegers(const std::string& encoding) {
  static const char* const kEncodings[] = {"gptq4",   "gptq8",  "gptq_v2_4", "gptq_v2_8",
                                           "awq4",    "int8",   "int8_of_4", "scb_int8",
                                           "packed4", "packed8"};
  return std::any_of(std::begin(kEncodings), std::end(kEncodings),
                     [&](const char* known) { return encoding == known; });
}

std::shared_ptr<const RowDecoder> PackedIntegerRows(const StoredTensor& tensor) {
  if (Is(tensor, "gptq") || Is(tensor, "awq")) return std::make_shared<ByColumns>(tensor);
  return std::make_shared<ByRows>(tensor);
}

}  // namespace octavo
