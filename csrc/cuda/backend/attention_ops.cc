// Ops that write the cache and read it.
#include "op_context.h"

namespace octavo::cuda {
namespace {

class RopeStoreKvOp : public DeviceOp {
 public:
  explicit RopeStoreKvOp(const OpContext& context)
      : machine_(context.machine),
        state_(context.state),
        input_(context.Input(0)),
        out_(context.Out()) {
    context.ExpectOnly({"rope", "group", "layer", "heads", "kvHeads", "headDim", "clip", "beta",
                        "span", "norm", "eps", "over", "afterRope", "qWeight", "kWeight", "qBias",
                        "kBias"});
    context.ExpectActivations();
    const Op& op = context.op;
    group_ = context.Group();
    layer_ = op.Int("layer");
    args_.cache = context.Cache();
    Expect(!args_.cache.latent && args_.cache.key_dim == args_.cache.value_dim,
           "keys and values of the cache group have different sizes");
    args_.heads = op.Int("heads");
    args_.type = context.state->type;
    if (op.Has("rope")) {
      rope_ = op.Int("rope");
      const Rope& rope = context.plan.ropes.at(static_cast<size_t>(rope_));
      args_.rope_dim = rope.dim;
      args_.interleaved = rope.interleaved;
    }
    args_.clip = static_cast<float>(op.NumberOr0("clip"));
    args_.beta = static_cast<float>(op.NumberOr0("beta"));
    args_.span = op.Has("span") ? op.Int("span") : 1;
    Expect(args_.span > 0, "span is not positive");
    if (op.Has("norm")) ReadNorm(context);
    const int dim = args_.cache.key_dim;
    Expect(input_.cols == (args_.heads + 2 * args_.cache.kv_heads) * dim,
           "the input's columns are not (heads + 2 × kvHeads) × headDim");
    Expect(args_.rope_dim % 2 == 0 && args_.rope_dim <= dim,
           "the rope's dim is odd or more than headDim");
  }

  void Launch(Stream stream) override {
    args_.step = machine_->upload.device();
    args_.cache = machine_->Layer(group_, layer_);
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.tokens;
    if (rope_ >= 0) {
      const PlanState::Angles& angles = state_->angles[static_cast<size_t>(rope_)];
      args_.cosines = angles.cosines.As<float>();
      args_.sines = angles.sines.As<float>();
    }
    RopeStoreKv(args_, stream);
  }

 private:
  void ReadNorm(const OpContext& context) {
    const Op& op = context.op;
    const std::string& over = op.Text("over");
    Expect(over == "head" || over == "all", "over is neither 'head' nor 'all'");
    HeadNorm& norm = args_.norm;
    norm.used = true;
    norm.layer = ReadNormKind(op);
    norm.after_rope = op.Flag("afterRope");
    norm.eps = static_cast<float>(op.Number("eps"));
    if (over == "all") {
      Expect(!norm.after_rope, "the CUDA backend has no norm of all heads after the rope");
      whole_.Reserve(static_cast<size_t>(context.plan.max_tokens) * 4 * sizeof(float));
      norm.whole = whole_.As<float>();
    }
    const int dim = args_.cache.key_dim, kv_heads = args_.cache.kv_heads;
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
  int rope_ = -1, group_ = 0, layer_ = 0;
  Value input_, out_;
  std::vector<std::shared_ptr<const DeviceWeight>> gains_;
  Buffer whole_;
  RopeStoreArgs args_{};
};

class PagedAttentionOp : public DeviceOp {
 public:
  explicit PagedAttentionOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    context.ExpectOnly({"group", "layer", "heads", "kvHeads", "headDim", "scale", "window",
                        "softcap", "slopes", "sinks"});
    context.ExpectActivations();
    const Op& op = context.op;
    group_ = context.Group();
    layer_ = op.Int("layer");
    args_.cache = context.Cache();
    args_.heads = op.Int("heads");
    args_.type = context.state->type;
    args_.scale = static_cast<float>(op.Number("scale"));
    Expect(args_.heads % args_.cache.kv_heads == 0, "kvHeads does not divide heads");
    Expect(input_.cols == args_.heads * args_.cache.key_dim &&
               out_.cols == args_.heads * args_.cache.value_dim,
           "input or output columns are not heads × headDim");
    ReadFeatures(context);
    by_tiles_ = HasTensorAttention(args_);
    int& tile_rows = context.state->tile_rows;
    if (by_tiles_) {
      const int rows = AttentionTileRows(args_);
      tile_rows = tile_rows == 0 ? rows : std::min(tile_rows, rows);
    }
    args_.by_spans = machine_->options.batch_invariant;
    row_blocks_ = args_.cache.kv_heads;
    if (args_.cache.latent) row_blocks_ = (args_.heads - 1) / LatentHeads(args_) + 1;
    most_cut_ = std::min(context.plan.max_sequences, context.plan.max_tokens);
    args_.by_spans ? ReserveSpans(context) : ReservePartials();
  }

  void Launch(Stream stream) override {
    const LaunchRows& rows = machine_->rows;
    args_.step = machine_->upload.device();
    args_.cache = machine_->Layer(group_, layer_);
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = rows.tokens;
    args_.tiles = rows.tiles;
    args_.decodes = rows.decodes;
    args_.splits = Splits(rows);
    args_.partials = machine_->partials.As<float>();
    PagedAttention(args_, stream);
  }

 private:
  int Splits(const LaunchRows& rows) const {
    if (args_.by_spans) {
      // Without tiles rows of prompts are cut too, where they are no more than rows that decode.
      const bool cuts = by_tiles_ ? rows.decodes > 0 : rows.tiles == 0 && rows.tokens <= most_cut_;
      const int longest = rows.longest == 0 ? kMostSpans * kLeastSpan : rows.longest;
      const int spans = (longest + kLeastSpan - 1) / kLeastSpan;
      return cuts ? std::min(spans, kMostSpans) : 1;
    }
    // Without tiles a row of a prompt would be cut as a decoding one is; there are rows enough.
    const bool decodes_only = !machine_->options.batch_invariant && (by_tiles_ || rows.tiles == 0);
    return decodes_only ? machine_->Splits(rows.decodes, row_blocks_, rows.longest) : 1;
  }

  void ReadFeatures(const OpContext& context) {
    const Op& op = context.op;
    args_.softcap = static_cast<float>(op.NumberOr0("softcap"));
    args_.window = op.Has("window") ? op.Int("window") : 0;
    sinks_ = context.OptionalVector("sinks", args_.heads);
    args_.sinks = VectorOf(sinks_);
    if (!op.Has("slopes")) return;
    const std::vector<float> slopes = op.Numbers("slopes");
    Expect(slopes.size() == static_cast<size_t>(args_.heads), "expected a slope a head");
    slopes_ = OnDevice(slopes, machine_->stream.get());
    args_.slopes = static_cast<const float*>(slopes_.get());
  }

  void ReserveSpans(const OpContext& context) {
    const auto floats = static_cast<size_t>(2 + args_.cache.value_dim);
    const auto rows = static_cast<size_t>(most_cut_);
    size_t most = rows * static_cast<size_t>(args_.heads * kMostSpans) * floats;
    if (by_tiles_) most = std::max(most, TileFloats(context));
    machine_->partials.Reserve(most * sizeof(float));
  }

  // What all tiles of a step keep between their spans.
  size_t TileFloats(const OpContext& context) const {
    PlanState& state = *context.state;
    state.tile_floats = std::max(state.tile_floats, AttentionTileFloats(args_));
    // A sequence ends with a tile that is not full, and cuts one where its spans grow.
    const auto tiles = static_cast<size_t>(context.plan.max_tokens / state.tile_rows) +
                       2 * static_cast<size_t>(context.plan.max_sequences) + 8;
    return tiles * state.tile_floats;
  }

  void ReservePartials() {
    size_t most = 0;
    for (int decodes = 1;; ++decodes) {
      const int splits = machine_->Splits(decodes, row_blocks_, 0);
      if (splits == 1) break;
      most = std::max(most, static_cast<size_t>(splits) * static_cast<size_t>(decodes));
    }
    const auto floats = static_cast<size_t>(2 + args_.cache.value_dim);
    machine_->partials.Reserve(most * static_cast<size_t>(args_.heads) * floats * sizeof(float));
  }

  Machine* machine_;
  Value input_, out_;
  int group_ = 0, layer_ = 0;
  int row_blocks_ = 1;  // of a decoding row whose context is not cut
  int most_cut_ = 0;    // rows whose contexts are cut, by spans
  bool by_tiles_ = false;
  std::shared_ptr<const DeviceWeight> sinks_;
  DevicePointer slopes_;
  AttentionArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeRopeStoreKv(const OpContext& context) {
  return std::make_unique<RopeStoreKvOp>(context);
}

std::unique_ptr<DeviceOp> MakePagedAttention(const OpContext& context) {
  return std::make_unique<PagedAttentionOp>(context);
}

}  // namespace octavo::cuda
