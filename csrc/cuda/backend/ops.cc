#include "ops.h"

#include <algorithm>
#include <initializer_list>
#include <stdexcept>

#include "../../cpu/machine.h"  // KeyOf

namespace octavo::cuda {
namespace {

void Expect(bool condition, const std::string& message) {
  if (!condition) throw std::runtime_error(message);
}

// What most ops are made from.
struct Context {
  const Plan& plan;
  const Op& op;
  Machine* machine;
  PlanState* state;

  const Value& Input(size_t index) const {
    if (index >= op.inputs.size()) throw std::runtime_error("expected more inputs");
    return plan.values.at(static_cast<size_t>(op.inputs[index]));
  }
  const Value& Out() const { return plan.values.at(static_cast<size_t>(op.out)); }

  // An attribute that nobody reads would change what the op computes.
  void ExpectOnly(std::initializer_list<const char*> known) const {
    for (const auto& [name, value] : op.attributes) {
      const bool found =
          std::any_of(known.begin(), known.end(), [&](const char* other) { return name == other; });
      Expect(found, "the CUDA backend does not support " + name + "=" + value);
    }
  }
  // Everything is computed in one type, except that logits are float32.
  void ExpectActivations() const {
    for (const int input : op.inputs)
      Expect(input != state->logits, "only `sample` may read logits on CUDA");
    Expect(op.out != state->logits, "only `linear` may compute logits on CUDA");
  }

  std::shared_ptr<const DeviceWeight> Weight(const char* key) const {
    const auto& weight = plan.weights.at(static_cast<size_t>(op.Int(key)));
    const auto found = machine->weights.find(cpu::KeyOf(weight));
    Expect(found != machine->weights.end(),
           std::string(key) + " " + std::to_string(op.Int(key)) + " is not loaded");
    return found->second;
  }
  std::shared_ptr<const DeviceWeight> Matrix(const char* key) const {
    auto weight = Weight(key);
    Expect(weight->type == state->type, std::string(key) + " is of " + NameOf(weight->type) +
                                            ", the plan's activations are of " +
                                            NameOf(state->type));
    return weight;
  }
  std::shared_ptr<const DeviceWeight> OptionalVector(const char* key, int length) const {
    if (!op.Has(key)) return nullptr;
    auto weight = Weight(key);
    Expect(weight->rows == length, std::string(key) + " has another length");
    return weight;
  }

  int Group() const {
    const int group = op.Int("group");
    Expect(group >= 0 && static_cast<size_t>(group) < machine->caches.size(),
           "there is no cache group " + std::to_string(group));
    return group;
  }
  CacheView Cache() const {
    const CacheView cache = machine->Layer(Group(), op.Int("layer"));
    Expect(cache.kv_heads == op.Int("kvHeads") && cache.head_dim == op.Int("headDim"),
           "kvHeads or headDim are not the cache group's");
    Expect(cache.head_dim % 8 == 0 && cache.head_dim <= 256,
           "headDim " + std::to_string(cache.head_dim) +
               ": the CUDA backend supports multiples of 8 up to 256");
    return cache;
  }
};

const float* VectorOf(const std::shared_ptr<const DeviceWeight>& weight) {
  return weight == nullptr ? nullptr : static_cast<const float*>(weight->memory.get());
}

class EmbedOp : public DeviceOp {
 public:
  explicit EmbedOp(const Context& context)
      : machine_(context.machine), weight_(context.Matrix("weight")), out_(context.Out()) {
    context.ExpectOnly({"weight", "scale"});
    context.ExpectActivations();
    Expect(weight_->cols == out_.cols, "the table's columns are not the output's");
    args_.type = context.state->type;
    args_.table = weight_->memory.get();
    args_.scale = static_cast<float>(context.op.Number("scale"));
    args_.cols = out_.cols;
  }

  void Launch() override {
    args_.step = machine_->upload.device();
    args_.last_ids = machine_->results.ids();
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.tokens;
    Embed(args_, machine_->stream.get());
  }

 private:
  Machine* machine_;
  std::shared_ptr<const DeviceWeight> weight_;
  Value out_;
  EmbedArgs args_{};
};

class NormOp : public DeviceOp {
 public:
  explicit NormOp(const Context& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"norm", "eps", "weight", "bias"});
    context.ExpectActivations();
    weight_ = context.OptionalVector("weight", out_.cols);
    bias_ = context.OptionalVector("bias", out_.cols);
    has_residual_ = context.op.inputs.size() > 1;
    if (has_residual_) residual_ = context.Input(1);
    const std::string& kind = context.op.Text("norm");
    Expect(kind == "rms" || kind == "layer", "norm is neither 'rms' nor 'layer'");
    Expect(input_.cols == out_.cols, "input and output have different columns");
    args_.type = context.state->type;
    args_.layer = kind == "layer";
    args_.eps = static_cast<float>(context.op.Number("eps"));
    args_.cols = out_.cols;
    args_.weight = VectorOf(weight_);
    args_.bias = VectorOf(bias_);
  }

  void Launch() override {
    args_.input = machine_->At(input_);
    args_.residual = has_residual_ ? machine_->At(residual_) : nullptr;
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_);
    Norm(args_, machine_->stream.get());
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
  explicit LinearOp(const Context& context)
      : machine_(context.machine),
        weight_(context.Matrix("weight")),
        input_(context.Input(0)),
        out_(context.Out()) {
    context.ExpectOnly({"weight", "bias"});
    bias_ = context.OptionalVector("bias", out_.cols);
    Expect(context.op.inputs[0] != context.state->logits, "only `sample` may read logits on CUDA");
    Expect(weight_->cols == input_.cols, "the weight's columns are not the input's");
    Expect(weight_->rows == out_.cols, "the weight's rows are not the output's columns");
    args_.type = context.state->type;
    args_.out_type = context.state->TypeOf(context.op.out);
    args_.weight = weight_->memory.get();
    args_.bias = VectorOf(bias_);
    args_.k = input_.cols;
    args_.n = out_.cols;
  }

  void Launch() override {
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_);
    Linear(args_, machine_->stream.get());
  }

 private:
  Machine* machine_;
  std::shared_ptr<const DeviceWeight> weight_, bias_;
  Value input_, out_;
  LinearArgs args_{};
};

class RopeStoreKvOp : public DeviceOp {
 public:
  explicit RopeStoreKvOp(const Context& context)
      : machine_(context.machine),
        state_(context.state),
        input_(context.Input(0)),
        out_(context.Out()) {
    context.ExpectOnly({"rope", "group", "layer", "heads", "kvHeads", "headDim"});
    context.ExpectActivations();
    const Op& op = context.op;
    args_.cache = context.Cache();
    args_.heads = op.Int("heads");
    args_.type = context.state->type;
    if (op.Has("rope")) {
      rope_ = op.Int("rope");
      const Rope& rope = context.plan.ropes.at(static_cast<size_t>(rope_));
      Expect(!rope.interleaved, "the CUDA backend does not support interleaved ropes");
      args_.rope_dim = rope.dim;
    }
    const int dim = args_.cache.head_dim;
    Expect(input_.cols == (args_.heads + 2 * args_.cache.kv_heads) * dim,
           "the input's columns are not (heads + 2 × kvHeads) × headDim");
    Expect(args_.rope_dim % 2 == 0 && args_.rope_dim <= dim,
           "the rope's dim is odd or more than headDim");
  }

  void Launch() override {
    args_.step = machine_->upload.device();
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.tokens;
    if (rope_ >= 0) {
      const PlanState::Angles& angles = state_->angles[static_cast<size_t>(rope_)];
      args_.cosines = angles.cosines.As<float>();
      args_.sines = angles.sines.As<float>();
    }
    RopeStoreKv(args_, machine_->stream.get());
  }

 private:
  Machine* machine_;
  PlanState* state_;
  int rope_ = -1;
  Value input_, out_;
  RopeStoreArgs args_{};
};

class PagedAttentionOp : public DeviceOp {
 public:
  explicit PagedAttentionOp(const Context& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"group", "layer", "heads", "kvHeads", "headDim", "scale"});
    context.ExpectActivations();
    const Op& op = context.op;
    args_.cache = context.Cache();
    args_.heads = op.Int("heads");
    args_.type = context.state->type;
    args_.scale = static_cast<float>(op.Number("scale"));
    const int cols = args_.heads * args_.cache.head_dim;
    Expect(args_.heads % args_.cache.kv_heads == 0, "kvHeads does not divide heads");
    Expect(input_.cols == cols && out_.cols == cols,
           "input or output columns are not heads × headDim");
    by_tiles_ = HasTensorAttention(args_);
    int& tile_rows = context.state->tile_rows;
    if (by_tiles_) {
      const int rows = AttentionTileRows(args_);
      tile_rows = tile_rows == 0 ? rows : std::min(tile_rows, rows);
    }
    ReservePartials();
  }

  void Launch() override {
    const LaunchRows& rows = machine_->rows;
    args_.step = machine_->upload.device();
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = rows.tokens;
    args_.tiles = rows.tiles;
    args_.decodes = rows.decodes;
    // Without tiles a row of a prompt would be cut as a decoding one is; there are rows enough.
    const bool decodes_only = by_tiles_ || rows.tiles == 0;
    args_.splits =
        decodes_only ? machine_->Splits(rows.decodes, args_.cache.kv_heads, rows.longest) : 1;
    args_.partials = machine_->partials.As<float>();
    PagedAttention(args_, machine_->stream.get());
  }

 private:
  void ReservePartials() {
    size_t most = 0;
    for (int decodes = 1;; ++decodes) {
      const int splits = machine_->Splits(decodes, args_.cache.kv_heads, 0);
      if (splits == 1) break;
      most = std::max(most, static_cast<size_t>(splits) * static_cast<size_t>(decodes));
    }
    const auto floats = static_cast<size_t>(2 + args_.cache.head_dim);
    machine_->partials.Reserve(most * static_cast<size_t>(args_.heads) * floats * sizeof(float));
  }

  Machine* machine_;
  Value input_, out_;
  bool by_tiles_ = false;
  AttentionArgs args_{};
};

class ActivationOp : public DeviceOp {
 public:
  explicit ActivationOp(const Context& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"activation", "gated"});
    context.ExpectActivations();
    args_.type = context.state->type;
    args_.activation = Parse(context.op.Text("activation"));
    args_.gated = context.op.Int("gated") != 0;
    args_.cols = out_.cols;
    Expect(input_.cols == out_.cols * (args_.gated ? 2 : 1),
           "the input's columns are not the output's (twice, if gated)");
  }

  void Launch() override {
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->RowsOf(out_);
    Activate(args_, machine_->stream.get());
  }

 private:
  static Activation Parse(const std::string& name) {
    if (name == "silu") return Activation::kSilu;
    if (name == "gelu") return Activation::kGelu;
    if (name == "geluTanh") return Activation::kGeluTanh;
    if (name == "relu") return Activation::kRelu;
    throw std::runtime_error("the CUDA backend has no activation '" + name + "'");
  }

  Machine* machine_;
  Value input_, out_;
  ActivationArgs args_{};
};

class GatherRowsOp : public DeviceOp {
 public:
  explicit GatherRowsOp(const Context& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({});
    Expect(input_.cols == out_.cols, "input and output have different columns");
    Expect(context.op.inputs[0] != context.state->logits, "only `sample` may read logits on CUDA");
    args_.type = context.state->TypeOf(context.op.out);
    Expect(args_.type == context.state->type, "only `linear` may compute logits on CUDA");
    args_.cols = out_.cols;
  }

  void Launch() override {
    args_.step = machine_->upload.device();
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.samples;
    if (args_.rows > 0) Gather(args_, machine_->stream.get());
  }

 private:
  Machine* machine_;
  Value input_, out_;
  GatherArgs args_{};
};

class SampleOp : public DeviceOp {
 public:
  explicit SampleOp(const Context& context) : machine_(context.machine), input_(context.Input(0)) {
    context.ExpectOnly({});
    args_.vocab = input_.cols;
    const auto rows = static_cast<size_t>(context.plan.max_samples);
    machine_->processed.Reserve(rows * static_cast<size_t>(input_.cols) * sizeof(float));
  }

  void Launch() override {
    args_.step = machine_->upload.device();
    args_.logits = static_cast<const float*>(machine_->At(input_));
    args_.processed = machine_->processed.As<float>();
    args_.rows = machine_->rows.samples;
    machine_->results.Fill(&args_);
    if (args_.rows > 0) Sample(args_, machine_->stream.get());
  }

 private:
  Machine* machine_;
  Value input_;
  SampleArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeDeviceOp(const Plan& plan, const Op& op, Machine* machine,
                                       PlanState* state) {
  const Context context{plan, op, machine, state};
  if (op.kind == "embed") return std::make_unique<EmbedOp>(context);
  if (op.kind == "norm") return std::make_unique<NormOp>(context);
  if (op.kind == "linear") return std::make_unique<LinearOp>(context);
  if (op.kind == "ropeStoreKv") return std::make_unique<RopeStoreKvOp>(context);
  if (op.kind == "pagedAttention") return std::make_unique<PagedAttentionOp>(context);
  if (op.kind == "activation") return std::make_unique<ActivationOp>(context);
  if (op.kind == "gatherRows") return std::make_unique<GatherRowsOp>(context);
  if (op.kind == "sample") return std::make_unique<SampleOp>(context);
  throw std::runtime_error("the CUDA backend has no such op");
}

}  // namespace octavo::cuda
