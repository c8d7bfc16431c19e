// Mixtures of experts, and a matrix a head.
#include "op_context.h"

namespace octavo::cuda {
namespace {

class RouteOp : public DeviceOp {
 public:
  explicit RouteOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"experts", "topK", "renormalise", "scale", "score", "groups", "topGroups",
                        "groupScore", "bias"});
    const Op& op = context.op;
    args_.experts = op.Int("experts");
    args_.top_k = op.Int("topK");
    args_.renormalise = op.Int("renormalise") != 0;
    args_.scale = static_cast<float>(op.Number("scale"));
    const std::string& score = op.Text("score");
    Expect(score == "softmax" || score == "sigmoid", "score is neither 'softmax' nor 'sigmoid'");
    args_.softmax = score == "softmax";
    args_.groups = args_.top_groups = 1;
    if (op.Has("groups")) {
      args_.groups = op.Int("groups");
      args_.top_groups = op.Int("topGroups");
      args_.best_two = op.Text("groupScore") == "bestTwo";
    }
    Expect(input_.cols == args_.experts, "the input has not one column an expert");
    Expect(args_.groups > 0 && args_.experts % args_.groups == 0,
           "the experts do not form equal groups");
    const int size = args_.experts / args_.groups;
    Expect(args_.top_k > 0 && args_.top_k <= size * args_.top_groups, "there are too few experts");
    Expect(!args_.best_two || size > 1, "groups of one expert have no best two");
    Expect(out_.cols == 2 * args_.top_k, "the output has not 2 × topK columns");
    Expect(context.state->TypeOf(op.inputs[0]) == Type::kFloat32, "the logits are not float32");
    bias_ = context.OptionalVector("bias", args_.experts);
    args_.bias = VectorOf(bias_);
  }

  void Launch(Stream stream) override {
    args_.input = static_cast<const float*>(machine_->At(input_));
    args_.out = static_cast<float*>(machine_->At(out_));
    args_.rows = machine_->RowsOf(out_);
    Route(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, out_;
  std::shared_ptr<const DeviceWeight> bias_;
  RouteArgs args_{};
};

using Weights = std::vector<std::shared_ptr<const DeviceWeight>>;

DevicePointer AddressesOf(const Weights& weights, Stream stream) {
  std::vector<const void*> addresses;
  for (const auto& weight : weights) addresses.push_back(weight->memory.get());
  return OnDevice(addresses, stream);
}

DevicePointer CodesOf(const Weights& weights, Stream stream) {
  std::vector<CodesView> views;
  for (const auto& weight : weights) views.push_back(weight->codes);
  return OnDevice(views, stream);
}

// `expertLinear`, and `headLinear`: all rows pass all matrices, in their order.
class ExpertLinearOp : public DeviceOp {
 public:
  explicit ExpertLinearOp(const OpContext& context)
      : machine_(context.machine),
        weights_(context.Weights("weights")),
        input_(context.Input(0)),
        out_(context.Out()),
        routed_(context.op.kind == "expertLinear") {
    context.ExpectOnly({"weights", "biases", "topK", "split"});
    const Op& op = context.op;
    Expect(!weights_.empty(), "there are no matrices");
    args_.experts = static_cast<int>(weights_.size());
    args_.top_k = routed_ ? op.Int("topK") : args_.experts;
    args_.split = !routed_ || op.Int("split") != 0;
    args_.n = static_cast<int>(weights_[0]->rows);
    args_.k = static_cast<int>(weights_[0]->cols);
    args_.input_cols = input_.cols;
    args_.type = context.state->type;
    args_.one_path = machine_->options.batch_invariant;
    CheckValues(context);
    PlaceWeights();
    if (op.Has("biases")) PlaceBiases(context.Weights("biases"));
    ReserveScratch(context.plan.MaxRows(out_.rows));
  }

  void Launch(Stream stream) override {
    ExpertLinearArgs args = args_;
    args.input = machine_->At(input_);
    args.routes = routed_ ? static_cast<const float*>(machine_->At(routes_)) : nullptr;
    args.out = machine_->At(out_);
    args.rows = machine_->RowsOf(out_);
    args.scratch = machine_->slots.As<int32_t>();
    if (reorders_) {
      void* to = machine_->reordered.memory.get();
      ReorderInputs(args, args.codes, to, stream);
      args.input = to;
      args.input_cols = args.top_k * args.k;
      args.split = true;
    }
    ExpertLinear(args, stream);
  }

 private:
  void CheckValues(const OpContext& context) {
    const Op& op = context.op;
    if (routed_) {
      routes_ = context.Input(1);
      Expect(context.state->TypeOf(op.inputs[1]) == Type::kFloat32, "the routes are not float32");
      Expect(routes_.cols == 2 * args_.top_k, "the routes have not 2 × topK columns");
    }
    Expect(context.state->TypeOf(op.inputs[0]) == args_.type &&
               context.state->TypeOf(op.out) == args_.type,
           "only `scale` and `sample` may read logits on CUDA");
    const int wanted = args_.split ? args_.top_k * args_.k : args_.k;
    Expect(routed_ ? input_.cols == wanted : input_.cols >= wanted, "the input has other columns");
    Expect(out_.cols == args_.top_k * args_.n, "the output has other columns");
  }

  void PlaceWeights() {
    const bool coded = weights_[0]->codes.bits != 0;
    for (const auto& weight : weights_) {
      Expect(weight->rows == args_.n && weight->cols == args_.k,
             "the experts have different shapes");
      Expect((weight->codes.bits != 0) == coded, "some experts are codes, some are not");
      Expect(coded || weight->type == args_.type, "the experts are not of the activations' type");
      reorders_ = reorders_ || weight->codes.order != nullptr;
    }
    const Stream stream = machine_->stream.get();
    table_ = coded ? CodesOf(weights_, stream) : AddressesOf(weights_, stream);
    if (coded)
      args_.codes = static_cast<const CodesView*>(table_.get());
    else
      args_.weights = static_cast<const void* const*>(table_.get());
  }

  void PlaceBiases(Weights biases) {
    Expect(biases.size() == weights_.size(), "not every expert has a bias");
    for (const auto& bias : biases) Expect(bias->rows == args_.n, "a bias has another length");
    biases_ = std::move(biases);
    bias_table_ = AddressesOf(biases_, machine_->stream.get());
    args_.biases = static_cast<const float* const*>(bias_table_.get());
  }

  void ReserveScratch(int rows) {
    args_.rows = rows;
    machine_->slots.Reserve(ExpertScratch(args_));
    const auto slots = static_cast<size_t>(rows) * args_.top_k;
    if (reorders_)
      machine_->reordered.Reserve(slots * static_cast<size_t>(args_.k) * SizeOf(args_.type));
  }

  Machine* machine_;
  Weights weights_, biases_;
  Value input_, routes_, out_;
  bool routed_, reorders_ = false;
  DevicePointer table_, bias_table_;
  ExpertLinearArgs args_{};
};

class CombineExpertsOp : public DeviceOp {
 public:
  explicit CombineExpertsOp(const OpContext& context)
      : machine_(context.machine),
        input_(context.Input(0)),
        routes_(context.Input(1)),
        out_(context.Out()),
        has_shared_(context.op.inputs.size() > 2),
        has_gate_(context.op.inputs.size() > 3) {
    context.ExpectOnly({"topK"});
    if (has_shared_) shared_ = context.Input(2);
    if (has_gate_) gate_ = context.Input(3);
    args_.type = context.state->type;
    args_.top_k = context.op.Int("topK");
    args_.cols = out_.cols;
    Expect(args_.top_k > 0 && routes_.cols == 2 * args_.top_k,
           "the routes have not 2 × topK columns");
    Expect(input_.cols == args_.top_k * out_.cols,
           "the input has not topK parts of the output's size");
    Expect(!has_shared_ || shared_.cols == out_.cols, "the shared part has other columns");
    Expect(!has_gate_ || gate_.cols == 1, "the gate has not one column");
  }

  void Launch(Stream stream) override {
    args_.input = machine_->At(input_);
    args_.routes = static_cast<const float*>(machine_->At(routes_));
    args_.shared = has_shared_ ? machine_->At(shared_) : nullptr;
    args_.gate = has_gate_ ? machine_->At(gate_) : nullptr;
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_);
    CombineExperts(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, routes_, shared_, gate_, out_;
  bool has_shared_, has_gate_;
  CombineExpertsArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeExpertOp(const OpContext& context) {
  if (context.op.kind == "route") return std::make_unique<RouteOp>(context);
  if (context.op.kind == "combineExperts") return std::make_unique<CombineExpertsOp>(context);
  return std::make_unique<ExpertLinearOp>(context);
}

}  // namespace octavo::cuda
