#include "op_context.h"
#include "weight_loader.h"

namespace octavo::cuda {
namespace {

class EmbedOp : public DeviceOp {
 public:
  explicit EmbedOp(const OpContext& context)
      : machine_(context.machine), weight_(context.Matrix("weight")), out_(context.Out()) {
    context.ExpectOnly({"weight", "scale", "positionOffset"});
    context.ExpectActivations();
    Expect(weight_->cols == out_.cols, "the table's columns are not the output's");
    args_.vocabulary = static_cast<int>(weight_->rows);
    args_.type = context.state->type;
    args_.table = weight_->memory.get();
    args_.codes = weight_->codes;
    args_.scale = static_cast<float>(context.op.Number("scale"));
    args_.by_position = context.op.Has("positionOffset");
    if (args_.by_position) args_.position_offset = context.op.Int("positionOffset");
    args_.cols = out_.cols;
  }

  void Launch(Stream stream) override {
    args_.step = machine_->upload.device();
    args_.last_ids = machine_->results.ids();
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.tokens;
    Embed(args_, stream);
  }

 private:
  Machine* machine_;
  std::shared_ptr<const DeviceWeight> weight_;
  Value out_;
  EmbedArgs args_{};
};

class NormOp : public DeviceOp {
 public:
  explicit NormOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"norm", "eps", "weight", "bias"});
    context.ExpectActivations();
    weight_ = context.OptionalVector("weight", out_.cols);
    bias_ = context.OptionalVector("bias", out_.cols);
    has_residual_ = context.op.inputs.size() > 1;
    if (has_residual_) residual_ = context.Input(1);
    Expect(input_.cols == out_.cols, "input and output have different columns");
    args_.type = context.state->type;
    args_.layer = ReadNormKind(context.op);
    args_.eps = static_cast<float>(context.op.Number("eps"));
    args_.cols = out_.cols;
    args_.weight = VectorOf(weight_);
    args_.bias = VectorOf(bias_);
  }

  void Launch(Stream stream) override {
    args_.input = machine_->At(input_);
    args_.residual = has_residual_ ? machine_->At(residual_) : nullptr;
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_);
    Norm(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, residual_, out_;
  bool has_residual_ = false;
  std::shared_ptr<const DeviceWeight> weight_, bias_;
  NormArgs args_{};
};

class LinearOp : public DeviceOp {
 public:
  explicit LinearOp(const OpContext& context)
      : machine_(context.machine),
        weight_(context.Matrix("weight")),
        input_(context.Input(0)),
        out_(context.Out()) {
    context.ExpectOnly({"weight", "bias"});
    bias_ = context.OptionalVector("bias", out_.cols);
    Expect(context.state->TypeOf(context.op.inputs[0]) == context.state->type,
           "only `scale` and `sample` may read logits on CUDA");
    Expect(weight_->cols == input_.cols, "the weight's columns are not the input's");
    Expect(weight_->rows == out_.cols, "the weight's rows are not the output's columns");
    args_.type = context.state->type;
    args_.out_type = context.state->TypeOf(context.op.out);
    args_.weight = weight_->memory.get();
    args_.codes = weight_->codes;
    args_.bias = VectorOf(bias_);
    args_.k = input_.cols;
    args_.n = out_.cols;
    args_.one_path = machine_->options.batch_invariant;
    theirs_ = FitsCublas();
    if (args_.codes.order == nullptr) return;
    views_ = OnDevice(std::vector{args_.codes}, machine_->stream.get());
    const auto rows = static_cast<size_t>(context.plan.MaxRows(out_.rows));
    machine_->reordered.Reserve(rows * static_cast<size_t>(args_.k) * SizeOf(args_.type));
  }

  void Launch(Stream stream) override {
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_);
    if (views_ != nullptr) Reorder(stream);
    // Up to one tile of rows our kernels read each weight once, as any other must.
    constexpr int kOwnRows = 64;
    if (theirs_ && args_.rows > kOwnRows &&
        machine_->cublas->Linear(args_, their_bias_.get(), stream))
      return;
    Linear(args_, stream);
  }

 private:
  // cuBLASLt adds a bias of the output's type: where that holds the numbers exactly, which it does
  // where a checkpoint has both in one type.
  bool FitsCublas() {
    if (machine_->cublas == nullptr || args_.codes.bits != 0) return false;
    if (args_.bias == nullptr) return true;
    const auto n = static_cast<size_t>(args_.n);
    const Stream stream = machine_->stream.get();
    std::vector<float> numbers(n), rounded(n);
    CopyToHost(numbers.data(), args_.bias, n * sizeof(float), stream);
    Wait(stream);
    std::vector<uint8_t> bias(n * SizeOf(args_.out_type));
    ConvertElements(numbers.data(), Type::kFloat32, n, args_.out_type, bias.data());
    ConvertElements(bias.data(), args_.out_type, n, Type::kFloat32, rounded.data());
    if (rounded != numbers) return false;
    their_bias_ = OnDevice(bias, stream);
    return true;
  }

  // As the inputs of a single expert that all rows pass.
  void Reorder(Stream stream) {
    ExpertLinearArgs given{};
    given.type = args_.type;
    given.input = args_.input;
    given.rows = args_.rows;
    given.top_k = given.experts = 1;
    given.k = given.input_cols = args_.k;
    void* to = machine_->reordered.memory.get();
    ReorderInputs(given, static_cast<const CodesView*>(views_.get()), to, stream);
    args_.input = to;
  }

  Machine* machine_;
  std::shared_ptr<const DeviceWeight> weight_, bias_;
  Value input_, out_;
  bool theirs_ = false;       // cuBLASLt's, where rows are many
  DevicePointer their_bias_;  // of the output's type
  DevicePointer views_;       // args_.codes, where their columns have an order
  LinearArgs args_{};
};

class ActivationOp : public DeviceOp {
 public:
  explicit ActivationOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"activation", "gated", "parts", "parameters"});
    context.ExpectActivations();
    args_.type = context.state->type;
    args_.activation = ReadActivation(context.op);
    parameters_ = context.OptionalVector("parameters", 4);
    Expect((args_.activation == Activation::kXielu) == (parameters_ != nullptr),
           "parameters are those of xielu");
    args_.parameters = VectorOf(parameters_);
    args_.gated = context.op.Int("gated") != 0;
    if (context.op.Has("parts")) parts_ = context.op.Int("parts");
    Expect(parts_ > 0 && out_.cols % parts_ == 0, "the output has not so many parts");
    args_.cols = out_.cols / parts_;
    Expect(input_.cols == out_.cols * (args_.gated ? 2 : 1),
           "the input's columns are not the output's (twice, if gated)");
  }

  void Launch(Stream stream) override {
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_) * parts_;
    Activate(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, out_;
  int parts_ = 1;
  std::shared_ptr<const DeviceWeight> parameters_;
  ActivationArgs args_{};
};

// `scale` and `add`.
class CombineOp : public DeviceOp {
 public:
  explicit CombineOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"factor", "cap"});
    adds_ = context.op.kind == "add";
    if (adds_) context.ExpectActivations();
    if (adds_) other_ = context.Input(1);
    Expect(input_.cols == out_.cols && (!adds_ || other_.cols == out_.cols),
           "input and output have different columns");
    args_.type = context.state->TypeOf(context.op.out);
    Expect(context.state->TypeOf(context.op.inputs[0]) == args_.type,
           "input and output are of different types");
    args_.factor = adds_ ? 1 : static_cast<float>(context.op.Number("factor"));
    args_.cap = static_cast<float>(context.op.NumberOr0("cap"));
  }

  void Launch(Stream stream) override {
    args_.input = machine_->At(input_);
    args_.other = adds_ ? machine_->At(other_) : nullptr;
    args_.out = machine_->At(out_);
    args_.count = static_cast<int64_t>(machine_->RowsOf(out_)) * out_.cols;
    Combine(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, other_, out_;
  bool adds_ = false;
  CombineArgs args_{};
};

class GatherRowsOp : public DeviceOp {
 public:
  explicit GatherRowsOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({});
    context.ExpectActivations();
    Expect(input_.cols == out_.cols, "input and output have different columns");
    args_.type = context.state->type;
    args_.cols = out_.cols;
  }

  void Launch(Stream stream) override {
    args_.step = machine_->upload.device();
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.samples;
    if (args_.rows > 0) Gather(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, out_;
  GatherArgs args_{};
};

class SampleOp : public DeviceOp {
 public:
  explicit SampleOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)) {
    context.ExpectOnly({});
    args_.vocab = input_.cols;
    const auto rows = static_cast<size_t>(context.plan.max_samples);
    machine_->processed.Reserve(rows * static_cast<size_t>(input_.cols) * sizeof(float));
    machine_->masks.Reserve(context.plan.max_samples, (input_.cols + 31) / 32);
  }

  void Launch(Stream stream) override {
    args_.step = machine_->upload.device();
    args_.logits = static_cast<const float*>(machine_->At(input_));
    args_.processed = machine_->processed.As<float>();
    args_.shared_masks = machine_->masks.device();
    args_.rows = machine_->rows.samples;
    machine_->results.Fill(&args_);
    if (args_.rows > 0) Sample(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_;
  SampleArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceOp(const Plan& plan, const Op& op, Machine* machine,
                                       PlanState* state) {
  const OpContext context{{plan, op}, machine, state};
  if (op.kind == "embed") return std::make_unique<EmbedOp>(context);
  if (op.kind == "norm") return std::make_unique<NormOp>(context);
  if (op.kind == "linear") return std::make_unique<LinearOp>(context);
  if (op.kind == "adapt") return MakeAdapt(context);
  if (op.kind == "ropeStoreKv") return MakeRopeStoreKv(context);
  if (op.kind == "pagedAttention") return MakePagedAttention(context);
  if (op.kind == "activation") return std::make_unique<ActivationOp>(context);
  if (op.kind == "scale" || op.kind == "add") return std::make_unique<CombineOp>(context);
  if (op.kind == "gatherRows") return std::make_unique<GatherRowsOp>(context);
  if (op.kind == "sample") return std::make_unique<SampleOp>(context);
  if (op.kind == "route" || op.kind == "combineExperts") return MakeExpertOp(context);
  if (op.kind == "expertLinear" || op.kind == "headLinear") return MakeExpertOp(context);
  if (op.kind == "storeLatent") return MakeStoreLatent(context);
  if (op.kind == "shortConv") return MakeShortConv(context);
  if (op.kind == "pool") return MakePool(context);
  throw std::runtime_error("the CUDA backend has no such op");
}

}  // namespace octavo::cuda
