#include "plan.h"

#include "plan_words.h"

namespace octavo {
namespace {

[[noreturn]] void FailAttribute(const Op& op, const std::string& key, const std::string& expected) {
  const auto found = op.attributes.find(key);
  Fail(op.kind + " \"" + op.label + "\": expected " + key + " to be " + expected + ", found " +
       (found == op.attributes.end() ? "none" : "'" + found->second + "'"));
}

std::string ViewText(const SourceView& view) {
  if (view.loops.empty()) return "";
  std::string text = '@' + std::to_string(view.first) + '/' + std::to_string(view.column_step);
  for (const SourceView::Loop& loop : view.loops)
    text += '/' + std::to_string(loop.count) + 'x' + std::to_string(loop.step);
  return text;
}

}  // namespace

std::string Weight::Key() const {
  std::string key = matrix ? TypeName() : "vector";
  if (offset != 0) key += '+' + std::to_string(offset);
  for (const WeightSource& source : sources)
    key += ' ' + source.name + ':' + std::to_string(source.rows) + ViewText(source.view);
  return key;
}

uint64_t Weight::Bytes() const {
  const auto row = static_cast<uint64_t>(cols);
  if (!quantization) return static_cast<uint64_t>(rows) * row * SizeOf(type);
  constexpr uint64_t kGroupBytes = 4;
  const uint64_t size = quantization.group == 0 ? row : static_cast<uint64_t>(quantization.group);
  const uint64_t groups = (row + size - 1) / size;
  return static_cast<uint64_t>(rows) * ((row * quantization.bits + 7) / 8 + groups * kGroupBytes);
}

const std::string& Op::Text(const std::string& key) const {
  const auto found = attributes.find(key);
  if (found == attributes.end()) FailAttribute(*this, key, "given");
  return found->second;
}

int Op::Int(const std::string& key) const {
  int value = 0;
  if (!Has(key) || !ReadInteger(Text(key), &value)) FailAttribute(*this, key, "an integer");
  return value;
}

std::vector<int> Op::Ints(const std::string& key) const {
  std::vector<int> values;
  for (const std::string& part : ParseList(Text(key), key.c_str())) {
    values.push_back(0);
    if (!ReadInteger(part, &values.back())) FailAttribute(*this, key, "a list of integers");
  }
  return values;
}

double Op::Number(const std::string& key) const {
  double value = 0;
  if (!Has(key) || !ReadNumber(Text(key), &value)) FailAttribute(*this, key, "a number");
  return value;
}

std::vector<float> Op::Numbers(const std::string& key) const {
  std::vector<float> numbers;
  for (const std::string& part : ParseList(Text(key), key.c_str()))
    numbers.push_back(static_cast<float>(ParseNumber(part, key)));
  return numbers;
}

int Plan::PooledColumns() const {
  for (const Op& op : ops)
    if (op.kind == "pool" && !op.inputs.empty())
      return values[static_cast<size_t>(op.inputs[0])].cols;
  return 0;
}

int Plan::MaxRows(Rows rows) const {
  switch (rows) {
    case Rows::kTokens: return max_tokens;
    case Rows::kSequences: return max_sequences;
    case Rows::kSamples: return max_samples;
  }
  return 0;
}

}  // namespace octavo
