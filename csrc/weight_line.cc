#include "weight_line.h"

#include <algorithm>
#include <limits>

#include "plan_words.h"

namespace octavo {
namespace {

constexpr char kOffset[] = "offset=";

// "first/column step/count x step/…"
SourceView ParseView(const std::string& text, int64_t wanted_rows) {
  constexpr int64_t kNone = 0, kLeast = 1;
  const auto parts = Split(text, '/');
  if (parts.size() < 3) Fail("expected first/step/loops behind @, found '" + text + "'");
  SourceView view;
  view.first = ParseInteger(parts[0], "a first element", kNone);
  view.column_step = ParseInteger(parts[1], "a step of columns", kLeast);
  int64_t rows = 1;
  for (size_t i = 2; i < parts.size(); ++i) {
    const auto loop = Split(parts[i], 'x');
    if (loop.size() != 2) Fail("expected a loop countxstep, found '" + parts[i] + "'");
    view.loops.push_back(
        {ParseInteger(loop[0], "a count", kLeast), ParseInteger(loop[1], "a step", kNone)});
    if (view.loops.back().count > wanted_rows / rows)
      Fail("the loops of " + text + " are more than its rows");
    rows *= view.loops.back().count;
  }
  if (rows != wanted_rows)
    Fail("the loops have " + std::to_string(rows) + " rows, expected " +
         std::to_string(wanted_rows));
  return view;
}

WeightSource ParseSource(const std::string& word) {
  const size_t colon = word.find(':');
  WeightSource source;
  source.name = word.substr(0, colon);
  if (colon == std::string::npos) return source;
  const size_t at = std::min(word.find('@', colon), word.size());
  constexpr int64_t kLeast = 1;
  source.rows = ParseInteger(word.substr(colon + 1, at - colon - 1), "rows", kLeast);
  if (at < word.size()) source.view = ParseView(word.substr(at + 1), source.rows);
  return source;
}

void CheckSources(Weight* weight) {
  auto& sources = weight->sources;
  if (sources.size() == 1 && sources[0].rows == 0) sources[0].rows = weight->rows;
  int64_t rows = 0;
  for (const WeightSource& source : sources) {
    if (source.rows == 0) Fail("expected " + source.name + ":rows in a fused weight");
    rows += source.rows;
  }
  if (rows != weight->rows)
    Fail("its sources have " + std::to_string(rows) + " rows, expected " +
         std::to_string(weight->rows));
}

}  // namespace

void ExpectId(const std::string& text, size_t id) {
  if (text != std::to_string(id))
    Fail("expected number " + std::to_string(id) + ", found '" + text + "'");
}

Weight ParseWeightLine(const std::string& line, size_t id) {
  Words words(line);
  words.Expect("weight");
  ExpectId(words.Next("a number"), id);
  Weight weight;
  const std::string role = words.Next("a role");
  if (role != "matrix" && role != "vector")
    Fail("expected 'matrix' or 'vector', found '" + role + "'");
  weight.matrix = role == "matrix";
  const std::string type = words.Next("an element type");
  if (!ParseQuantization(type, &weight.quantization)) weight.type = ParseType(type);
  if (!weight.matrix && type != NameOf(Type::kFloat32))
    Fail("expected a vector of float32, found " + type);
  const std::string shape_text = words.Next("a shape");
  const auto shape = ParseList(shape_text, "a shape");
  if (shape.size() != (weight.matrix ? 2u : 1u))
    Fail("expected " + role + " of " + (weight.matrix ? "two dimensions" : "one dimension") +
         ", found " + shape_text);
  constexpr int64_t kLeast = 1;
  weight.rows = ParseInteger<int64_t>(shape[0], "rows", kLeast);
  weight.cols = weight.matrix ? ParseInteger<int64_t>(shape[1], "columns", kLeast) : kLeast;
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  if (weight.rows > kMost || weight.cols > kMost) Fail("the shape " + shape_text + " is too large");
  std::string word = words.Next("the name of a checkpoint tensor");
  if (!weight.matrix && word.rfind(kOffset, 0) == 0) {
    weight.offset = static_cast<float>(ParseNumber(word.substr(sizeof(kOffset) - 1), "offset"));
    word = words.Next("the name of a checkpoint tensor");
  }
  weight.sources.push_back(ParseSource(word));
  while (!words.Done()) weight.sources.push_back(ParseSource(words.Next("a source")));
  CheckSources(&weight);
  return weight;
}

}  // namespace octavo
