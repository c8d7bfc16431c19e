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
      Expect(state->TypeOf(input) == state->type,
             "only `scale` and `sample` may read logits on CUDA");
    Expect(state->TypeOf(op.out) == state->type, "only `linear` may compute logits on CUDA");
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
    context.ExpectOnly({"weight", "scale", "positionOffset"});
    context.ExpectActivations();
    Expect(weight_->cols == out_.cols, "the table's columns are not the output's");
    args_.type = context.state->type;
    args_.table = weight_->memory.get();
    args_.scale = static_cast<float>(context.op.Number("scale"));
    args_.by_position = context.op.Has("positionOffset");
    if (args_.by_position) args_.position_offset = context.op.Int("positionOffset");
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
    Expect(context.state->TypeOf(context.op.inputs[0]) == context.state->type,
           "only `scale` and `sample` may read logits on CUDA");
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
    context.ExpectOnly({"rope", "group", "layer", "heads", "kvHeads", "headDim", "clip", "norm",
                        "eps", "over", "afterRope", "qWeight", "kWeight", "qBias", "kBias"});
    context.ExpectActivations();
    const Op& op = context.op;
    args_.cache = context.Cache();
    args_.heads = op.Int("heads");
    args_.type = context.state->type;
    if (op.Has("rope")) {
      rope_ = op.Int("rope");
      const Rope& rope = context.plan.ropes.at(static_cast<size_t>(rope_));
      args_.rope_dim = rope.dim;
      args_.interleaved = rope.interleaved;
    }
    args_.clip = static_cast<float>(op.NumberOr0("clip"));
    if (op.Has("norm")) ReadNorm(context);
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
  void ReadNorm(const Context& context) {
    const Op& op = context.op;
    const std::string& over = op.Text("over");
    Expect(over == "head", "the CUDA backend does not support over=" + over);
    HeadNorm& norm = args_.norm;
    norm.used = true;
    norm.layer = op.Text("norm") == "layer";
    norm.after_rope = op.Flag("afterRope");
    norm.eps = static_cast<float>(op.Number("eps"));
    const int dim = args_.cache.head_dim, kv_heads = args_.cache.kv_heads;
    const auto read = [&](const char* key, int heads, const float** gains, int* step) {
      if (!op.Has(key)) return;
      gains_.push_back(context.Weight(key));
      const int64_t length = gains_.back()->rows;
      Expect(length == dim || length == dim * heads, std::string(key) + " has another length");
      *gains = VectorOf(gains_.back());
      *step = length == dim ? 0 : dim;
    };
    read("qWeight", args_.heads, &norm.q_weight, &norm.q_weight_step);
    read("kWeight", kv_heads, &norm.k_weight, &norm.k_weight_step);
    read("qBias", args_.heads, &norm.q_bias, &norm.q_bias_step);
    read("kBias", kv_heads, &norm.k_bias, &norm.k_bias_step);
  }

  Machine* machine_;
  PlanState* state_;
  int rope_ = -1;
  Value input_, out_;
  std::vector<std::shared_ptr<const DeviceWeight>> gains_;
  RopeStoreArgs args_{};
};

class PagedAttentionOp : public DeviceOp {
 public:
  explicit PagedAttentionOp(const Context& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"group", "layer", "heads", "kvHeads", "headDim", "scale", "window",
                        "softcap", "slopes", "sinks"});
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
    ReadFeatures(context);
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
  void ReadFeatures(const Context& context) {
    const Op& op = context.op;
    args_.softcap = static_cast<float>(op.NumberOr0("softcap"));
    args_.window = op.Has("window") ? op.Int("window") : 0;
    sinks_ = context.OptionalVector("sinks", args_.heads);
    args_.sinks = VectorOf(sinks_);
    if (!op.Has("slopes")) return;
    const std::vector<float> slopes = op.Numbers("slopes");
    Expect(slopes.size() == static_cast<size_t>(args_.heads), "expected a slope a head");
    const size_t bytes = slopes.size() * sizeof(float);
    slopes_ = AllocateDevice(bytes);
    CopyToDevice(slopes_.get(), slopes.data(), bytes, machine_->stream.get());
    Wait(machine_->stream.get());
    args_.slopes = static_cast<const float*>(slopes_.get());
  }

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
  std::shared_ptr<const DeviceWeight> sinks_;
  DevicePointer slopes_;
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
    if (name == "geluQuick") return Activation::kGeluQuick;
    if (name == "relu") return Activation::kRelu;
    if (name == "reluSquared") return Activation::kReluSquared;
    if (name == "clampedSwiglu") return Activation::kClampedSwiglu;
    throw std::runtime_error("the CUDA backend has no activation '" + name + "'");
  }

  Machine* machine_;
  Value input_, out_;
  ActivationArgs args_{};
};

// `scale` and `add`.
class CombineOp : public DeviceOp {
 public:
  explicit CombineOp(const Context& context)
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

  void Launch() override {
    args_.input = machine_->At(input_);
    args_.other = adds_ ? machine_->At(other_) : nullptr;
    args_.out = machine_->At(out_);
    args_.count = static_cast<int64_t>(machine_->RowsOf(out_)) * out_.cols;
    Combine(args_, machine_->stream.get());
  }

 private:
  Machine* machine_;
  Value input_, other_, out_;
  bool adds_ = false;
  CombineArgs args_{};
};

class GatherRowsOp : public DeviceOp {
 public:
  explicit GatherRowsOp(const Context& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({});
    context.ExpectActivations();
    Expect(input_.cols == out_.cols, "input and output have different columns");
    args_.type = context.state->type;
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
  if (op.kind == "scale" || op.kind == "add") return std::make_unique<CombineOp>(context);
  if (op.kind == "gatherRows") return std::make_unique<GatherRowsOp>(context);
  if (op.kind == "sample") return std::make_unique<SampleOp>(context);
  throw std::runtime_error("the CUDA backend has no such op");
}

}  // namespace octavo::cuda
