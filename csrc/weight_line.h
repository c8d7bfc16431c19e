// The line of a weight in a plan's or an adapter's text form.
#pragma once

#include <string>

#include "plan.h"

namespace octavo {

// Parses "weight 2 matrix bfloat16 [960,576] a.weight:576 b.weight:384", which must have number
// `id`. Throws std::runtime_error saying what was expected.
Weight ParseWeightLine(const std::string& line, size_t id);

// Things are numbered 0, 1, … so that an id is an index.
void ExpectId(const std::string& text, size_t id);

}  // namespace octavo
