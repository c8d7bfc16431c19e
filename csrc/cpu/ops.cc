// The ops of a plan made ready for the CPU: attributes read once, work shared out each step.
#include <algorithm>
#include <stdexcept>

#include "op_context.h"

namespace octavo::cpu {
namespace {

class EmbedOp : public CompiledOp {
 public:
  explicit EmbedOp(const OpContext& context)
      : machine_(context.machine),
        weight_(context.Weight("weight")),
        scale_(static_cast<float>(context.op.Number("scale"))),
        by_position_(context.op.Has("positionOffset")),
        out_(context.Out()) {
    if (by_position_) position_offset_ = context.op.Int("positionOffset");
    Expect(weight_->cols == out_.cols, "the table's columns are not the output's");
    Expect(position_offset_ >= 0, "positionOffset is below 0");
  }

  void Run(const StepView& step, StepResult*) override {
    if (by_position_) {
      const int last = *std::max_element(step.positions, step.positions + step.tokens);
      Expect(last + position_offset_ < weight_->rows, "a position is beyond the table");
    } else if (step.embedding_count > 0) {
      Expect(step.embedding_columns == out_.cols, "embeddings have other columns than the table");
    }
    float* out = machine_->At(out_);
    machine_->ForRows(step.tokens, out_.cols, [&](int first, int last) {
      for (int row = first; row < last; ++row) {
        const int index = by_position_ ? step.positions[row] + position_offset_ : step.ids[row];
        float* to = out + static_cast<size_t>(row) * out_.cols;
        if (index < weight_->rows)
          UnpackRow(*weight_, index, scale_, to);
        else
          CopyEmbedding(step, index - weight_->rows, to);
      }
    });
  }

 private:
  void CopyEmbedding(const StepView& step, int index, float* to) const {
    const float* from = step.embeddings + static_cast<size_t>(index) * out_.cols;
    for (int c = 0; c < out_.cols; ++c) to[c] = from[c] * scale_;
  }

  Machine* machine_;
  std::shared_ptr<const PackedWeight> weight_;
  float scale_;
  bool by_position_;
  int position_offset_ = 0;
  Value out_;
};

class NormOp : public CompiledOp {
 public:
  explicit NormOp(const OpContext& context)
      : machine_(context.machine),
        weight_(context.OptionalWeight("weight")),
        bias_(context.OptionalWeight("bias")),
        input_(context.Input(0)),
        out_(context.Out()),
        codes_(context.CodesOf(context.op.out)),
        has_residual_(context.op.inputs.size() > 1) {
    if (codes_) machine_->ReserveBlock(out_.cols);
    if (has_residual_) residual_ = context.Input(1);
    args_.layer = ReadNormKind(context.op);
    args_.eps = static_cast<float>(context.op.Number("eps"));
    args_.cols = out_.cols;
    args_.weight = VectorOf(weight_);
    args_.bias = VectorOf(bias_);
    Expect(input_.cols == out_.cols, "input and output have different columns");
    Expect(weight_ == nullptr || weight_->rows == out_.cols, "weight has another length");
    Expect(bias_ == nullptr || bias_->rows == out_.cols, "bias has another length");
  }

  void Run(const StepView& step, StepResult*) override {
    NormArgs args = args_;
    args.input = machine_->At(input_);
    args.residual = has_residual_ ? machine_->At(residual_) : nullptr;
    args.out = machine_->At(out_);
    const int rows = RowsOf(out_, step);
    if (codes_ && machine_->LieAsCodes(rows)) return RunCoded(args, rows);
    machine_->ForRows(rows, out_.cols,
                      [&](int first, int last) { machine_->kernels->norm(args, first, last); });
  }

 private:
  void RunCoded(const NormArgs& all, int rows) {
    machine_->ForCodedRows(out_, rows, *codes_, [&](int first, int last, float* to) {
      NormArgs args = all;
      const int64_t begin = int64_t{first} * args.cols;
      args.input += begin;
      if (has_residual_) args.residual += begin;
      args.out = to;
      machine_->kernels->norm(args, 0, last - first);
    });
  }

  Machine* machine_;
  std::shared_ptr<const PackedWeight> weight_, bias_;
  Value input_, residual_, out_;
  std::optional<CodesLayout> codes_;
  bool has_residual_;
  NormArgs args_;
};

class ActivationOp : public CompiledOp {
 public:
  explicit ActivationOp(const OpContext& context)
      : machine_(context.machine),
        input_(context.Input(0)),
        out_(context.Out()),
        codes_(context.CodesOf(context.op.out)) {
    if (codes_) machine_->ReserveBlock(out_.cols);
    args_.activation = ReadActivation(context.op);
    args_.gated = context.op.Int("gated") != 0;
    if (context.op.Has("parts")) parts_ = context.op.Int("parts");
    Expect(parts_ > 0 && out_.cols % parts_ == 0, "the columns do not form so many equal parts");
    args_.cols = out_.cols / parts_;
    Expect(args_.gated || args_.activation != Activation::kClampedSwiglu, "there is no gate");
    parameters_ = context.OptionalWeight("parameters");
    args_.parameters = VectorOf(parameters_);
    Expect(args_.activation != Activation::kXielu || (parameters_ && parameters_->rows == 4),
           "xielu has not its four parameters");
    Expect(input_.cols == out_.cols * (args_.gated ? 2 : 1),
           "the input's columns are not the output's (twice, if gated)");
  }

  void Run(const StepView& step, StepResult*) override {
    ActivationArgs args = args_;
    args.input = machine_->At(input_);
    args.out = machine_->At(out_);
    const int rows = RowsOf(out_, step);
    if (codes_ && machine_->LieAsCodes(rows)) return RunCoded(args, rows);
    machine_->ForRows(rows * parts_, args.cols, [&](int first, int last) {
      machine_->kernels->activation(args, first, last);
    });
  }

 private:
  void RunCoded(const ActivationArgs& all, int rows) {
    machine_->ForCodedRows(out_, rows, *codes_, [&](int first, int last, float* to) {
      ActivationArgs args = all;
      args.input += int64_t{first} * input_.cols;
      args.out = to;
      machine_->kernels->activation(args, 0, (last - first) * parts_);
    });
  }

  Machine* machine_;
  std::shared_ptr<const PackedWeight> parameters_;
  Value input_, out_;
  std::optional<CodesLayout> codes_;
  int parts_ = 1;  // rows side by side in one
  ActivationArgs args_;
};

class ScaleOp : public CompiledOp {
 public:
  explicit ScaleOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    args_.factor = static_cast<float>(context.op.Number("factor"));
    args_.cap = static_cast<float>(context.op.NumberOr0("cap"));
    Expect(input_.cols == out_.cols, "input and output have different columns");
  }

  void Run(const StepView& step, StepResult*) override {
    ScaleArgs args = args_;
    args.input = machine_->At(input_);
    args.out = machine_->At(out_);
    const int64_t cols = out_.cols;
    machine_->ForRows(RowsOf(out_, step), out_.cols, [&](int first, int last) {
      machine_->kernels->scale(args, first * cols, last * cols);
    });
  }

 private:
  Machine* machine_;
  Value input_, out_;
  ScaleArgs args_;
};

class AddOp : public CompiledOp {
 public:
  explicit AddOp(const OpContext& context)
      : machine_(context.machine),
        input_(context.Input(0)),
        other_(context.Input(1)),
        out_(context.Out()) {
    Expect(input_.cols == out_.cols && other_.cols == out_.cols,
           "inputs and output have different columns");
  }

  void Run(const StepView& step, StepResult*) override {
    const float *input = machine_->At(input_), *other = machine_->At(other_);
    float* out = machine_->At(out_);
    const int64_t cols = out_.cols;
    machine_->ForRows(RowsOf(out_, step), out_.cols, [&](int first, int last) {
      for (int64_t i = first * cols; i < last * cols; ++i) out[i] = input[i] + other[i];
    });
  }

 private:
  Machine* machine_;
  Value input_, other_, out_;
};

class GatherRowsOp : public CompiledOp {
 public:
  explicit GatherRowsOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    Expect(input_.cols == out_.cols, "input and output have different columns");
  }

  void Run(const StepView& step, StepResult*) override {
    const size_t cols = static_cast<size_t>(out_.cols);
    for (int row = 0; row < step.samples; ++row) {
      const float* from = machine_->At(input_) + step.sample_ints[row].token_row * cols;
      std::copy_n(from, cols, machine_->At(out_) + row * cols);
    }
  }

 private:
  Machine* machine_;
  Value input_, out_;
};

// Each column is one chain of additions over the rows, which a sum that is carried from an earlier
// part of the prompt goes on with: how a prompt is cut into parts changes no bit.
class PoolOp : public CompiledOp {
 public:
  explicit PoolOp(const OpContext& context) : machine_(context.machine), input_(context.Input(0)) {
    Expect(input_.rows == Rows::kTokens, "the input has no token rows");
  }

  void Run(const StepView& step, StepResult* result) override {
    const auto cols = static_cast<size_t>(input_.cols);
    result->pooled.resize(cols * static_cast<size_t>(step.pools));
    machine_->ForRows(step.pools, input_.cols, [&](int first, int last) {
      for (int p = first; p < last; ++p)
        Sum(step, step.pool_rows[p], result->pooled.data() + static_cast<size_t>(p) * cols);
    });
  }

 private:
  void Sum(const StepView& step, const PoolRow& pool, float* to) const {
    const auto cols = static_cast<size_t>(input_.cols);
    const float* row = machine_->At(input_) + static_cast<size_t>(pool.first_row) * cols;
    const float* end = row + static_cast<size_t>(pool.row_count) * cols;
    if (pool.carried >= 0) {
      std::copy_n(step.carried + pool.carried, cols, to);
    } else {
      std::copy_n(row, cols, to);
      row += cols;
    }
    for (; row != end; row += cols)
      for (size_t c = 0; c < cols; ++c) to[c] += row[c];
  }

  Machine* machine_;
  Value input_;
};

class SampleOp : public CompiledOp {
 public:
  explicit SampleOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)) {}

  void Run(const StepView& step, StepResult* result) override {
    SizeResult(step, input_.cols, result);
    const float* logits = machine_->At(input_);
    machine_->pool.ParallelFor(step.samples, [&](int row, int worker) {
      machine_->samplers[static_cast<size_t>(worker)].Run(
          step, row, logits + static_cast<size_t>(row) * input_.cols, input_.cols, result);
    });
  }

 private:
  Machine* machine_;
  Value input_;
};

}  // namespace

std::unique_ptr<CompiledOp> CompileOp(const Plan& plan, const Op& op, Machine* machine,
                                      PlanStep* shared) {
  const OpContext context{{plan, op}, machine, shared};
  if (op.kind == "embed") return std::make_unique<EmbedOp>(context);
  if (op.kind == "norm") return std::make_unique<NormOp>(context);
  if (op.kind == "linear") return MakeLinear(context);
  if (op.kind == "adapt") return MakeAdapt(context);
  if (op.kind == "ropeStoreKv") return MakeRopeStoreKv(context);
  if (op.kind == "pagedAttention") return MakePagedAttention(context);
  if (op.kind == "activation") return std::make_unique<ActivationOp>(context);
  if (op.kind == "scale") return std::make_unique<ScaleOp>(context);
  if (op.kind == "add") return std::make_unique<AddOp>(context);
  if (op.kind == "gatherRows") return std::make_unique<GatherRowsOp>(context);
  if (op.kind == "pool") return std::make_unique<PoolOp>(context);
  if (op.kind == "sample") return std::make_unique<SampleOp>(context);
  if (op.kind == "storeLatent") return MakeStoreLatent(context);
  if (op.kind == "shortConv") return MakeShortConv(context);
  if (auto expert_op = CompileExpertOp(context)) return expert_op;
  throw std::runtime_error("the CPU backend has no such op");
}

}  // namespace octavo::cpu
