#include "packed_header.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <type_traits>

namespace octavo::cpu {
namespace {

void Expect(bool holds, const char* why = "its header is damaged") {
  if (!holds) throw std::runtime_error(why);
}

// Appends what it visits to `bytes`.
class Writer {
 public:
  explicit Writer(std::vector<uint8_t>* bytes) : bytes_(bytes) {}

  template <class T>
  void Visit(const T& value) {
    static_assert(std::is_arithmetic_v<T> || std::is_enum_v<T>);
    const auto* from = reinterpret_cast<const uint8_t*>(&value);
    bytes_->insert(bytes_->end(), from, from + sizeof(value));
  }
  template <class Items>
  void VisitAll(const Items& items) {
    Visit(static_cast<uint64_t>(items.size()));
    for (const auto& item : items) Visit(item);
  }

 private:
  std::vector<uint8_t>* bytes_;
};

// Takes what it visits from bytes that a Writer made.
class Reader {
 public:
  Reader(const uint8_t* from, size_t size) : from_(from), left_(size) {}

  size_t left() const { return left_; }

  template <class T>
  void Visit(T& value) {
    Expect(left_ >= sizeof(value));
    std::memcpy(&value, from_, sizeof(value));
    from_ += sizeof(value);
    left_ -= sizeof(value);
  }
  void Visit(bool& value) { value = Below(2) != 0; }
  void Visit(Type& value) { value = static_cast<Type>(Below(3)); }
  template <class Items>
  void VisitAll(Items& items) {
    uint64_t size = 0;
    Visit(size);
    Expect(size <= left_ / sizeof(items[0]));
    items.resize(static_cast<size_t>(size));
    for (auto& item : items) Visit(item);
  }

 private:
  uint8_t Below(uint8_t limit) {
    uint8_t byte = 0;
    Visit(byte);
    Expect(byte < limit);
    return byte;
  }

  const uint8_t* from_;
  size_t left_;
};

// The fields of an entry in their order, to write them or to read them.
template <class Visitor, class Entry>
void VisitEntry(Visitor& visitor, Entry& entry) {
  auto& packed = entry.packed;
  auto& codes = packed.codes;
  visitor.VisitAll(entry.key);
  visitor.Visit(packed.type);
  visitor.Visit(packed.coded);
  visitor.Visit(packed.rows);
  visitor.Visit(packed.cols);
  visitor.Visit(codes.bits);
  visitor.Visit(codes.cols);
  visitor.Visit(codes.group);
  visitor.Visit(codes.whole_row);
  visitor.Visit(codes.symmetric);
  visitor.Visit(codes.half);
  visitor.Visit(codes.leveled);
  for (auto& level : codes.low) visitor.Visit(level);
  for (auto& level : codes.high) visitor.Visit(level);
  visitor.VisitAll(packed.column_order);
  visitor.Visit(entry.offset);
  visitor.Visit(entry.length);
  visitor.Visit(entry.sum);
}

// Each column once, or none.
bool IsOrder(const std::vector<int32_t>& order, int cols) {
  std::vector<int32_t> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (size_t i = 0; i < sorted.size(); ++i)
    if (sorted[i] != static_cast<int32_t>(i)) return false;
  return order.empty() || sorted.size() == static_cast<size_t>(cols);
}

// Whether a matrix of this form, of which 4 bits may have become 8 (ColumnOrderOf), can lie so.
bool IsLayout(const CodesLayout& codes, const Quantization& form, int cols) {
  const auto is_level = [](uint8_t level) { return level < 1 << CodesLayout::kLowBits; };
  const bool same = codes.bits == form.bits && codes.leveled == form.levels;
  const bool became = form.bits == 4 && codes.bits == 8 && !codes.leveled;
  const bool scales_alone = codes.symmetric && !codes.half;
  return (same || became) && (!codes.IsWords() || scales_alone) && codes.cols == cols &&
         codes.whole_row == (form.group == 0) &&
         codes.group == (codes.whole_row ? CodesLayout::kWholeRowGroup : form.group) &&
         std::all_of(codes.low, std::end(codes.low), is_level) &&
         std::all_of(codes.high, std::end(codes.high), is_level);
}

}  // namespace

std::vector<uint8_t> PackedHeader::Bytes() const {
  std::vector<uint8_t> bytes;
  Writer writer(&bytes);
  writer.VisitAll(source);
  writer.Visit(static_cast<uint64_t>(entries.size()));
  for (const Entry& entry : entries) VisitEntry(writer, entry);
  return bytes;
}

PackedHeader PackedHeader::Parse(const uint8_t* bytes, size_t size) {
  PackedHeader header;
  Reader reader(bytes, size);
  reader.VisitAll(header.source);
  uint64_t count = 0;
  reader.Visit(count);
  for (; count > 0; --count) VisitEntry(reader, header.entries.emplace_back());
  Expect(reader.left() == 0);
  return header;
}

void CheckPacked(const PackedWeight& packed, const Weight& weight) {
  const bool coded = weight.matrix && weight.quantization;
  const Type type = weight.matrix ? weight.type : Type::kFloat32;
  const int64_t cols = weight.matrix ? weight.cols : 1;
  Expect(packed.rows == weight.rows && packed.cols == cols && packed.coded == coded &&
             (coded ? IsLayout(packed.codes, weight.quantization, packed.cols)
                    : packed.type == type) &&
             IsOrder(packed.column_order, packed.cols),
         "it holds another form of a weight");
}

}  // namespace octavo::cpu
