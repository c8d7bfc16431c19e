#include "comparison.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace octavo {
namespace {

[[noreturn]] void Differ(const PackedResult& expected, const std::string& what) {
  throw std::runtime_error("step " + std::to_string(expected.ints.at(1)) + ": " + what);
}

// The parts of a packed result.
struct Parts {
  int samples;
  const int32_t *ids, *ranks, *top_starts, *top_ids;
  const float* logprobs;

  explicit Parts(const PackedResult& result)
      : samples(result.ints.at(2)),
        ids(result.ints.data() + kResultInts),
        ranks(ids + samples),
        top_starts(ranks + samples),
        top_ids(top_starts + samples + 1),
        logprobs(result.floats.data() + 1) {}

  bool HasTop(int row, int32_t id) const {
    const int32_t* end = top_ids + top_starts[row + 1];
    return std::find(top_ids + top_starts[row], end, id) != end;
  }
};

bool SameNumber(float found, float expected, double tolerance) {
  if (tolerance == 0) return std::memcmp(&found, &expected, sizeof found) == 0;
  if (std::isnan(expected) || std::isinf(expected))
    return std::isnan(expected) ? std::isnan(found) : found == expected;
  return std::fabs(double{found} - expected) <= tolerance;
}

void CompareNumber(const PackedResult& found, const PackedResult& expected, size_t index,
                   double tolerance) {
  if (SameNumber(found.floats[index], expected.floats[index], tolerance)) return;
  Differ(expected, "number " + std::to_string(index) + " of the result is " +
                       std::to_string(found.floats[index]) + ", recorded was " +
                       std::to_string(expected.floats[index]));
}

void CompareNearTies(const PackedResult& found, const PackedResult& expected, double tolerance) {
  const Parts f(found), e(expected);
  for (int row = 0; row < e.samples; ++row) {
    if (f.ids[row] == e.ids[row])
      CompareNumber(found, expected, 1 + static_cast<size_t>(row), tolerance);
    else if (!f.HasTop(row, e.ids[row]) || !e.HasTop(row, f.ids[row]))
      Differ(expected, "row " + std::to_string(row) + " drew " + std::to_string(f.ids[row]) +
                           ", recorded was " + std::to_string(e.ids[row]) +
                           ", and not each is among the other's most likely");
  }
}

}  // namespace

// The first float is a time.
void Compare(const PackedResult& found, const PackedResult& expected, const Closeness& closeness) {
  if (found.ints.size() != expected.ints.size() || found.floats.size() != expected.floats.size())
    Differ(expected, "the result has another size");
  if (closeness.near_ties) return CompareNearTies(found, expected, closeness.logprobs);
  for (size_t i = 0; i < found.ints.size(); ++i)
    if (found.ints[i] != expected.ints[i])
      Differ(expected, "integer " + std::to_string(i) + " of the result is " +
                           std::to_string(found.ints[i]) + ", recorded was " +
                           std::to_string(expected.ints[i]));
  for (size_t i = 1; i < found.floats.size(); ++i)
    CompareNumber(found, expected, i, closeness.logprobs);
}

void CompareValues(const RecordedProbe& probe, const Probe& found) {
  for (const auto& [value, numbers, tolerances] : probe.wanted) {
    const std::vector<float>& rows = found.read.at(value);
    const std::string name = "value " + std::to_string(value);
    if (rows.size() != numbers.size())
      throw std::runtime_error(name + " has " + std::to_string(rows.size()) + " numbers, not " +
                               std::to_string(numbers.size()));
    for (size_t i = 0; i < rows.size(); ++i) {
      const double error = std::fabs(double{rows[i]} - numbers[i]);
      if (error <= tolerances[i]) continue;  // false for NaN too
      throw std::runtime_error(
          name + ", number " + std::to_string(i) + ": found " + std::to_string(rows[i]) +
          ", expected " + std::to_string(numbers[i]) + " within " + std::to_string(tolerances[i]));
    }
  }
}

}  // namespace octavo
