// Short convolutions: each column of a sequence's tokens alone, with the last few tokens' products
// kept as the sequence's state.
#include <algorithm>

#include "op_context.h"

namespace octavo::cpu {
namespace {

class ShortConvOp : public CompiledOp {
 public:
  explicit ShortConvOp(const OpContext& context)
      : machine_(context.machine),
        weight_(context.Weight("weight")),
        bias_(context.OptionalWeight("bias")),
        input_(context.Input(0)),
        out_(context.Out()),
        width_(context.op.Int("width")),
        group_(context.op.Int("group")),
        layer_(context.op.Int("layer")) {
    const CacheGroup& cache = context.CacheOf(group_);
    Expect(width_ > 0 && cache.IsState() && cache.elements == (width_ - 1) * out_.cols,
           "the cache group has no state of (width − 1) × columns numbers");
    Expect(input_.cols == 3 * out_.cols, "the input has not three parts of the output's columns");
    Expect(weight_->rows == out_.cols * width_, "the weight has another length");
    Expect(bias_ == nullptr || bias_->rows == out_.cols, "the bias has another length");
  }

  void Run(const StepView& step, StepResult*) override {
    const int chunks = (out_.cols + kColumns - 1) / kColumns;
    machine_->pool.ParallelFor(step.sequences * chunks, [&](int item, int) {
      const int first = item % chunks * kColumns;
      RunColumns(step, item / chunks, first, std::min(out_.cols, first + kColumns));
    });
  }

 private:
  static constexpr int kColumns = 64;

  void RunColumns(const StepView& step, int s, int first, int last) const {
    const SequenceRow& sequence = step.sequence_rows[s];
    float* state = machine_->State(group_, layer_, step.Table(group_, s)[0]);
    const bool begins = sequence.context_length == sequence.row_count;
    if (begins) {
      for (int k = 0; k + 1 < width_; ++k)
        std::fill(state + k * out_.cols + first, state + k * out_.cols + last, 0.0f);
    }
    const auto row_of = [&](int row) {
      return machine_->At(input_) + static_cast<size_t>(sequence.first_row + row) * input_.cols;
    };
    // u of a row, which may be before the step's first one.
    const auto product = [&](int row, int c) {
      if (row < 0) return state[(row + width_ - 1) * out_.cols + c];
      const float* input = row_of(row);
      return input[c] * input[2 * out_.cols + c];
    };
    for (int row = 0; row < sequence.row_count; ++row) {
      const float* gate = row_of(row) + out_.cols;
      float* out = machine_->At(out_) + static_cast<size_t>(sequence.first_row + row) * out_.cols;
      for (int c = first; c < last; ++c) {
        const float* weight = weight_->Vector() + static_cast<size_t>(c) * width_;
        float sum = bias_ == nullptr ? 0 : bias_->Vector()[c];
        for (int k = 0; k < width_; ++k) sum += weight[k] * product(row - width_ + 1 + k, c);
        out[c] = gate[c] * sum;
      }
    }
    // Each is read no later than it is overwritten.
    for (int k = 0; k + 1 < width_; ++k) {
      for (int c = first; c < last; ++c)
        state[k * out_.cols + c] = product(sequence.row_count - width_ + 1 + k, c);
    }
  }

  Machine* machine_;
  std::shared_ptr<const PackedWeight> weight_, bias_;
  Value input_, out_;
  int width_, group_, layer_;
};

}  // namespace

std::unique_ptr<CompiledOp> MakeShortConv(const OpContext& context) {
  return std::make_unique<ShortConvOp>(context);
}

}  // namespace octavo::cpu
