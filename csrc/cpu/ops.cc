// The ops of a plan made ready for the CPU: attributes read once, work shared out each step.
#include <algorithm>
#include <atomic>
#include <cmath>
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
        out_(context.Out()) {
    Expect(weight_->cols == out_.cols, "the table's columns are not the output's");
  }

  void Run(const StepView& step, StepResult*) override {
    float* out = machine_->At(out_);
    machine_->ForRows(step.tokens, out_.cols, [&](int first, int last) {
      for (int row = first; row < last; ++row) {
        UnpackRow(*weight_, step.ids[row], scale_, out + static_cast<size_t>(row) * out_.cols);
      }
    });
  }

 private:
  Machine* machine_;
  std::shared_ptr<const PackedWeight> weight_;
  float scale_;
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
        has_residual_(context.op.inputs.size() > 1) {
    if (has_residual_) residual_ = context.Input(1);
    const std::string& kind = context.op.Text("norm");
    Expect(kind == "rms" || kind == "layer", "norm is neither 'rms' nor 'layer'");
    args_.layer = kind == "layer";
    args_.eps = static_cast<float>(context.op.Number("eps"));
    args_.cols = out_.cols;
    args_.weight = VectorOf(weight_);
    args_.bias = VectorOf(bias_);
    Expect(input_.cols == out_.cols, "input and output have different columns");
    Expect(weight_ == nullptr || weight_->rows == out_.cols, "weight has another length");
  }

  void Run(const StepView& step, StepResult*) override {
    NormArgs args = args_;
    args.input = machine_->At(input_);
    args.residual = has_residual_ ? machine_->At(residual_) : nullptr;
    args.out = machine_->At(out_);
    machine_->ForRows(RowsOf(out_, step), out_.cols,
                      [&](int first, int last) { machine_->kernels->norm(args, first, last); });
  }

 private:
  Machine* machine_;
  std::shared_ptr<const PackedWeight> weight_, bias_;
  Value input_, residual_, out_;
  bool has_residual_;
  NormArgs args_;
};

class LinearOp : public CompiledOp {
 public:
  explicit LinearOp(const OpContext& context)
      : machine_(context.machine),
        weight_(context.Weight("weight")),
        bias_(context.OptionalWeight("bias")),
        input_(context.Input(0)),
        out_(context.Out()) {
    Expect(weight_->cols == input_.cols, "the weight's columns are not the input's");
    Expect(weight_->rows == out_.cols, "the weight's rows are not the output's columns");
    args_.weight = weight_->data;
    args_.type = weight_->type;
    args_.bias = VectorOf(bias_);
    args_.k = input_.cols;
    args_.n = out_.cols;
    if (weight_->coded) machine_->input_codes.Reserve(MaxRows(out_, context.plan), weight_->codes);
  }

  void Run(const StepView& step, StepResult*) override {
    const int rows = RowsOf(out_, step);
    if (weight_->coded) return RunCodes(rows);
    LinearArgs args = args_;
    args.input = machine_->At(input_);
    args.out = machine_->At(out_);
    Share(rows, [&](int first_panel, int last_panel, int first_row, int last_row) {
      machine_->kernels->linear(args, first_panel, last_panel, first_row, last_row);
    });
  }

 private:
  static constexpr int kRowsPerBlock = 240;  // their inputs stay in the caches while panels pass
  static constexpr int kItemsPerThread = 8;
  static constexpr int kMaxPanels = 16;

  void RunCodes(int rows) {
    LinearCodesArgs args;
    args.input = machine_->input_codes.For(weight_->codes);
    args.weight = weight_->data;
    args.layout = weight_->codes;
    args.bias = args_.bias;
    args.out = machine_->At(out_);
    args.n = args_.n;
    const float* input = machine_->At(input_);
    machine_->ForRows(rows, args_.k, [&](int first, int last) {
      machine_->kernels->quantize_rows(input, args.input, first, last);
    });
    Share(rows, [&](int first_panel, int last_panel, int first_row, int last_row) {
      machine_->kernels->linear_codes(args, first_panel, last_panel, first_row, last_row);
    });
  }

  // Calls product(first panel, last panel, first row, last row) for parts that make up all.
  template <class Product>
  void Share(int rows, const Product& product) {
    const int panels = (args_.n + kPanel - 1) / kPanel;
    const int row_blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
    const int wanted = kItemsPerThread * machine_->pool.threads();
    const int step_panels = std::clamp(panels * row_blocks / wanted, 1, kMaxPanels);
    const int chunks = (panels + step_panels - 1) / step_panels;
    machine_->pool.ParallelFor(row_blocks * chunks, [&](int item, int) {
      const int block = item / chunks, chunk = item % chunks;
      product(chunk * step_panels, std::min(panels, (chunk + 1) * step_panels),
              rows * block / row_blocks, rows * (block + 1) / row_blocks);
    });
  }

  Machine* machine_;
  std::shared_ptr<const PackedWeight> weight_, bias_;
  Value input_, out_;
  LinearArgs args_;
};

class RopeStoreKvOp : public CompiledOp {
 public:
  explicit RopeStoreKvOp(const OpContext& context)
      : machine_(context.machine),
        shared_(context.shared),
        group_(context.Group()),
        input_(context.Input(0)),
        out_(context.Out()) {
    const Op& op = context.op;
    args_.heads = op.Int("heads");
    args_.head_dim = op.Int("headDim");
    args_.cache = machine_->Layer(group_, op.Int("layer"));
    if (op.Has("rope")) {
      rope_ = op.Int("rope");
      args_.rope_dim = shared_->ropes.at(static_cast<size_t>(rope_)).dim;
    }
    const CacheLayer& cache = args_.cache;
    Expect(cache.key_dim == args_.head_dim && cache.value_dim == args_.head_dim &&
               cache.kv_heads == op.Int("kvHeads"),
           "kvHeads or headDim are not the cache group's");
    Expect(input_.cols == (args_.heads + 2 * cache.kv_heads) * args_.head_dim,
           "the input's columns are not (heads + 2 × kvHeads) × headDim");
    Expect(args_.rope_dim % 2 == 0 && args_.rope_dim <= args_.head_dim,
           "the rope's dim is odd or more than headDim");
  }

  void Run(const StepView& step, StepResult*) override {
    RopeStoreArgs args = args_;
    args.input = machine_->At(input_);
    args.out = machine_->At(out_);
    if (rope_ >= 0) {
      const PlanStep::Angles& angles = shared_->angles[static_cast<size_t>(rope_)];
      args.cosines = angles.cosines.data();
      args.sines = angles.sines.data();
    }
    machine_->ForRows(step.tokens, input_.cols, [&](int first, int last) {
      for (int row = first; row < last; ++row) {
        const int s = shared_->sequence_of_row[static_cast<size_t>(row)];
        const SequenceRow& sequence = step.sequence_rows[s];
        const int position =
            sequence.context_length - sequence.row_count + row - sequence.first_row;
        machine_->kernels->rope_store_kv(args, row, position, step.Table(group_, s));
      }
    });
  }

 private:
  Machine* machine_;
  PlanStep* shared_;
  int group_, rope_ = -1;
  Value input_, out_;
  RopeStoreArgs args_;
};

class PagedAttentionOp : public CompiledOp {
 public:
  explicit PagedAttentionOp(const OpContext& context)
      : machine_(context.machine),
        group_(context.Group()),
        input_(context.Input(0)),
        out_(context.Out()) {
    const Op& op = context.op;
    args_.heads = op.Int("heads");
    args_.scale = static_cast<float>(op.Number("scale"));
    args_.cache = machine_->Layer(group_, op.Int("layer"));
    const CacheLayer& cache = args_.cache;
    Expect(cache.kv_heads == op.Int("kvHeads") && args_.heads % cache.kv_heads == 0,
           "kvHeads is not the cache group's or does not divide heads");
    Expect(input_.cols == args_.heads * cache.key_dim && out_.cols == args_.heads * cache.value_dim,
           "input or output columns are not heads × headDim");
    const int group_heads = args_.heads / cache.kv_heads;
    queries_ = std::max(kMaxQueries / group_heads, 1) * group_heads;
    schedule_ = &context.shared->schedules[group_heads];
    context.shared->kv_heads = cache.kv_heads;
    state_floats_ = static_cast<size_t>(queries_) * StateFloats(cache.value_dim);
    kernel_floats_ = AttentionScratch(queries_, cache.key_dim);
    for (auto& scratch : machine_->scratch) {
      scratch.resize(std::max(scratch.size(), kernel_floats_ + 2 * state_floats_));
    }
  }

  void Run(const StepView& step, StepResult*) override {
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    const int heads = args_.cache.kv_heads;
    partials_.resize(static_cast<size_t>(schedule_->partials) * heads * state_floats_);
    const size_t counters = schedule_->tiles.size() * static_cast<size_t>(heads);
    if (unfinished_.size() < counters) unfinished_ = std::vector<std::atomic<int>>(counters);
    for (size_t i = 0; i < counters; ++i) {
      unfinished_[i].store(schedule_->tiles[i / heads].spans, std::memory_order_relaxed);
    }
    machine_->pool.ParallelFor(
        static_cast<int>(schedule_->items.size()) * heads,
        [&](int item, int worker) { RunItem(step, item / heads, item % heads, worker); });
  }

 private:
  void RunItem(const StepView& step, int item, int head, int worker) {
    const AttentionSchedule::Item& part = schedule_->items[static_cast<size_t>(item)];
    const AttentionSchedule::Tile& cut = schedule_->tiles[static_cast<size_t>(part.tile)];
    AttentionTile tile;
    tile.table = step.Table(group_, cut.sequence);
    tile.first_row = cut.first_row;
    tile.rows = cut.rows;
    tile.first_limit = cut.first_limit;
    float* scratch = machine_->scratch[static_cast<size_t>(worker)].data();
    float* total = scratch + kernel_floats_;
    float* states = total + state_floats_;
    const KernelTable& kernels = *machine_->kernels;
    if (!cut.split) {
      Reset(total);
      for (int span = 0; span < cut.spans; ++span) {
        kernels.attend_span(args_, tile, head, span, states, scratch);
        Combine(tile, states, total);
      }
      kernels.finish_attention(args_, tile, head, total);
      return;
    }
    kernels.attend_span(args_, tile, head, part.span, PartialOf(cut, head, part.span), scratch);
    auto& unfinished = unfinished_[static_cast<size_t>(part.tile) * args_.cache.kv_heads + head];
    if (unfinished.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    Reset(total);  // this was the last span to end: all are combined, in order
    for (int span = 0; span < cut.spans; ++span) Combine(tile, PartialOf(cut, head, span), total);
    kernels.finish_attention(args_, tile, head, total);
  }

  float* PartialOf(const AttentionSchedule::Tile& cut, int head, int span) {
    const size_t index =
        static_cast<size_t>(cut.first_partial + span) * args_.cache.kv_heads + head;
    return partials_.data() + index * state_floats_;
  }

  void Reset(float* total) const {
    std::fill_n(total, state_floats_, 0.0f);
    const int floats = StateFloats(args_.cache.value_dim);
    for (int q = 0; q < queries_; ++q) total[q * floats] = -HUGE_VALF;
  }

  void Combine(const AttentionTile& tile, const float* states, float* total) const {
    const int queries = tile.rows * (args_.heads / args_.cache.kv_heads);
    machine_->kernels->combine_span(total, states, queries, args_.cache.value_dim);
  }

  Machine* machine_;
  int group_;
  Value input_, out_;
  AttentionArgs args_;
  const AttentionSchedule* schedule_ = nullptr;
  int queries_ = 0;  // of the largest tile
  size_t state_floats_ = 0, kernel_floats_ = 0;
  std::vector<float> partials_;
  std::vector<std::atomic<int>> unfinished_;  // spans of (tile, kv head)
};

class ActivationOp : public CompiledOp {
 public:
  explicit ActivationOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), out_(context.Out()) {
    args_.activation = Parse(context.op.Text("activation"));
    args_.gated = context.op.Int("gated") != 0;
    if (context.op.Has("parts")) parts_ = context.op.Int("parts");
    Expect(parts_ > 0 && out_.cols % parts_ == 0, "the columns do not form so many equal parts");
    args_.cols = out_.cols / parts_;
    Expect(args_.gated || args_.activation != Activation::kClampedSwiglu, "there is no gate");
    Expect(input_.cols == out_.cols * (args_.gated ? 2 : 1),
           "the input's columns are not the output's (twice, if gated)");
  }

  void Run(const StepView& step, StepResult*) override {
    ActivationArgs args = args_;
    args.input = machine_->At(input_);
    args.out = machine_->At(out_);
    machine_->ForRows(RowsOf(out_, step) * parts_, args.cols, [&](int first, int last) {
      machine_->kernels->activation(args, first, last);
    });
  }

 private:
  static Activation Parse(const std::string& name) {
    if (name == "silu") return Activation::kSilu;
    if (name == "gelu") return Activation::kGelu;
    if (name == "geluTanh") return Activation::kGeluTanh;
    if (name == "relu") return Activation::kRelu;
    if (name == "clampedSwiglu") return Activation::kClampedSwiglu;
    throw std::runtime_error("unknown activation '" + name + "'");
  }

  Machine* machine_;
  Value input_, out_;
  int parts_ = 1;  // rows side by side in one
  ActivationArgs args_;
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
  const OpContext context{plan, op, machine, shared};
  if (op.kind == "embed") return std::make_unique<EmbedOp>(context);
  if (op.kind == "norm") return std::make_unique<NormOp>(context);
  if (op.kind == "linear") return std::make_unique<LinearOp>(context);
  if (op.kind == "ropeStoreKv") return std::make_unique<RopeStoreKvOp>(context);
  if (op.kind == "pagedAttention") return std::make_unique<PagedAttentionOp>(context);
  if (op.kind == "activation") return std::make_unique<ActivationOp>(context);
  if (op.kind == "gatherRows") return std::make_unique<GatherRowsOp>(context);
  if (op.kind == "sample") return std::make_unique<SampleOp>(context);
  if (auto expert_op = CompileExpertOp(context)) return expert_op;
  throw std::runtime_error("the CPU backend has no such op");
}

}  // namespace octavo::cpu
