// Which rows a weight takes of a checkpoint tensor.
#pragma once

#include <string>
#include <vector>

#include "plan.h"
#include "tensor.h"

namespace octavo {

// Rows that had to be copied together, because they do not lie one behind the other in their
// tensor.
using CopiedRows = std::vector<std::vector<uint8_t>>;

std::string ShapeText(const std::vector<int64_t>& shape);

// Of what a source gives its weight.
std::vector<int64_t> WantedShape(const Weight& weight, const WeightSource& source);

// The rows of a tensor whose heads have theirs in pairs, in order.
SourceView InOrder(int64_t rows, int64_t cols, int64_t heads);

// The rows that `view` says, which is the source's own or, where that takes all, another order of
// them. Throws std::runtime_error naming the tensor if it has not these rows.
TensorView RowsOf(const TensorView& stored, const Weight& weight, const WeightSource& source,
                  SourceView view, CopiedRows* copied);

}  // namespace octavo
