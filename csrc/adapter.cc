#include "adapter.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "plan_words.h"
#include "weight_line.h"

namespace octavo {
namespace {

// A reference to one of so many things.
int ParseBelow(const Attributes& attributes, const char* key, size_t count) {
  const int id = ParseInteger(Find(attributes, key), key, 0);
  if (static_cast<size_t>(id) >= count)
    Fail(std::string("expected ") + key + " below " + std::to_string(count) + ", found " +
         std::to_string(id));
  return id;
}

AdapterPart ParsePart(const std::string& line, size_t weights) {
  Words words(line);
  words.Expect("part");
  const Attributes attributes = words.Rest();
  AdapterPart part;
  part.weight = ParseInteger(Find(attributes, "weight"), "weight", 0);
  part.first = ParseInteger(Find(attributes, "first"), "first", 0);
  part.scale = static_cast<float>(ParseNumber(Find(attributes, "scale"), "scale"));
  part.a = ParseBelow(attributes, "a", weights);
  part.b = ParseBelow(attributes, "b", weights);
  return part;
}

void ParseLine(const std::string& line, bool first, Adapter* adapter) {
  if (first) {
    Words words(line);
    words.Expect("octavo-adapter");
    words.Expect("1");
  } else if (line.rfind("weight ", 0) == 0) {
    adapter->weights.push_back(ParseWeightLine(line, adapter->weights.size()));
    if (!adapter->weights.back().matrix) Fail("expected a matrix");
  } else {
    adapter->parts.push_back(ParsePart(line, adapter->weights.size()));
  }
}

bool Adapts(const Plan& plan, int weight) {
  return std::any_of(plan.ops.begin(), plan.ops.end(), [&](const Op& op) {
    return op.kind == "adapt" && op.Int("weight") == weight;
  });
}

}  // namespace

Adapter Adapter::Parse(const std::string& text) {
  Adapter adapter;
  std::istringstream stream(text);
  int number = 0;
  for (std::string line; std::getline(stream, line);) {
    ++number;
    try {
      ParseLine(line, number == 1, &adapter);
    } catch (const std::exception& error) {
      Fail("adapter line " + std::to_string(number) + ": " + error.what());
    }
  }
  if (number == 0) Fail("adapter: expected the line 'octavo-adapter 1'");
  return adapter;
}

int Adapter::LargestRank() const {
  int64_t rank = 0;
  for (const AdapterPart& part : parts)
    rank = std::max(rank, weights.at(static_cast<size_t>(part.a)).rows);
  return static_cast<int>(rank);
}

void Adapter::CheckFor(const Plan& plan) const {
  for (size_t i = 0; i < parts.size(); ++i) {
    const AdapterPart& part = parts[i];
    const std::string where = "adapter part " + std::to_string(i) + ": ";
    if (!Adapts(plan, part.weight))
      Fail(where + "the plan adapts no weight " + std::to_string(part.weight));
    const Weight& changed = plan.weights.at(static_cast<size_t>(part.weight));
    const Weight &shrinks = weights.at(static_cast<size_t>(part.a)),
                 &expands = weights.at(static_cast<size_t>(part.b));
    if (shrinks.cols != changed.cols || expands.cols != shrinks.rows ||
        expands.rows > changed.rows - part.first)
      Fail(where + "its matrices do not fit rows from " + std::to_string(part.first) +
           " on of weight " + std::to_string(part.weight));
    for (size_t other = 0; other < i; ++other)
      if (Meet(part, parts[other]))
        Fail(where + "part " + std::to_string(other) + " has rows of it too");
  }
}

bool Adapter::Meet(const AdapterPart& one, const AdapterPart& other) const {
  const auto end_of = [&](const AdapterPart& part) {
    return part.first + weights.at(static_cast<size_t>(part.b)).rows;
  };
  return one.weight == other.weight && one.first < end_of(other) && other.first < end_of(one);
}

}  // namespace octavo
