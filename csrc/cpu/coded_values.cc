#include "coded_values.h"

#include <algorithm>

namespace octavo::cpu {
namespace {

bool MakesRows(const Op& op) { return op.kind == "norm" || op.kind == "activation"; }

// The layout that an op wants its only input in; null: floats.
const CodesLayout* WantedBy(const Op& op, const Plan& plan, const PackedWeights& weights) {
  if (op.kind != "linear") return nullptr;
  const PackedWeight& weight =
      *weights.at(plan.weights.at(static_cast<size_t>(op.Int("weight"))).Key());
  return weight.coded && weight.column_order.empty() ? &weight.codes : nullptr;
}

// A few rows of narrow groups may take more bytes as codes than as floats.
bool Fits(const Value& value, const Plan& plan, const CodesLayout& layout, int planes) {
  const int rows = plan.MaxRows(value.rows);
  return QuantizedRows::Bytes(rows, layout, planes) <= sizeof(float) * rows * value.cols;
}

}  // namespace

std::map<int, CodesLayout> CodedValues(const Plan& plan, const PackedWeights& weights,
                                       const KernelTable& kernels) {
  std::map<int, CodesLayout> coded;
  for (const Op& maker : plan.ops) {
    if (!MakesRows(maker)) continue;
    const CodesLayout* layout = nullptr;
    const bool same = std::all_of(plan.ops.begin(), plan.ops.end(), [&](const Op& op) {
      if (std::count(op.inputs.begin(), op.inputs.end(), maker.out) == 0) return true;
      if (op.kind == "adapt") return true;  // Machine::LieAsCodes sees to it
      const CodesLayout* wanted = WantedBy(op, plan, weights);
      if (layout == nullptr) layout = wanted;
      return wanted != nullptr && wanted->QuantizesAs(*layout);
    });
    if (!same || layout == nullptr) continue;
    const Value& value = plan.values.at(static_cast<size_t>(maker.out));
    if (Fits(value, plan, *layout, kernels.planes_of(*layout))) coded[maker.out] = *layout;
  }
  return coded;
}

}  // namespace octavo::cpu
