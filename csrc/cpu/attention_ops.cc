// The ops that write and read the cache.
#include <algorithm>
#include <atomic>
#include <cmath>

#include "op_context.h"

namespace octavo::cpu {
namespace {

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
      const Rope& rope = shared_->ropes.at(static_cast<size_t>(rope_));
      args_.rope_dim = rope.dim;
      args_.interleaved = rope.interleaved;
    }
    const CacheLayer& cache = args_.cache;
    if (op.Has("clip")) args_.clip = static_cast<float>(op.Number("clip"));
    if (op.Has("beta")) {
      args_.beta = static_cast<float>(op.Number("beta"));
      args_.span = op.Int("span");
      Expect(args_.span > 0, "span is not positive");
    }
    if (op.Has("norm")) {
      args_.norm_after_rope = op.Flag("afterRope");
      args_.q_norm = ReadNorm(context, "qWeight", "qBias", args_.heads);
      args_.k_norm = ReadNorm(context, "kWeight", "kBias", cache.kv_heads);
    }
    Expect(cache.key_dim == args_.head_dim && cache.value_dim == args_.head_dim &&
               cache.kv_heads == op.Int("kvHeads"),
           "kvHeads or headDim are not the cache group's");
    Expect(input_.cols == (args_.heads + 2 * cache.kv_heads) * args_.head_dim,
           "the input's columns are not (heads + 2 × kvHeads) × headDim");
    Expect(args_.rope_dim % 2 == 0 && args_.rope_dim <= args_.head_dim,
           "the rope's dim is odd or more than headDim");
    Expect(args_.heads >= cache.kv_heads, "there are more kvHeads than heads");
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
    // Neighbouring tokens write to the same lines of keys: they should not be two threads'.
    const int threads = machine_->pool.threads(), block = args.cache.block_size;
    const int rows = std::clamp(step.tokens / (kItemsPerThread * threads), 1, std::max(block, 16));
    machine_->pool.ParallelFor((step.tokens + rows - 1) / rows, [&](int item, int) {
      const int first = item * rows, last = std::min(step.tokens, first + rows);
      Fetch(step, first);
      for (int row = first; row < last; ++row) {
        Fetch(step, row + 1);
        machine_->kernels->rope_store_kv(args, row, PositionOf(step, row), TableOf(step, row));
      }
    });
  }

 private:
  static constexpr int kItemsPerThread = 4;

  void Fetch(const StepView& step, int row) const {
    if (row >= step.tokens) return;
    machine_->kernels->fetch_kv(args_.cache, PositionOf(step, row), TableOf(step, row));
  }

  int PositionOf(const StepView& step, int row) const {
    const SequenceRow& sequence =
        step.sequence_rows[shared_->sequence_of_row[static_cast<size_t>(row)]];
    return sequence.context_length - sequence.row_count + row - sequence.first_row;
  }

  const int32_t* TableOf(const StepView& step, int row) const {
    return step.Table(group_, shared_->sequence_of_row[static_cast<size_t>(row)]);
  }

  HeadNorm ReadNorm(const OpContext& context, const char* weight, const char* bias, int heads) {
    HeadNorm norm;
    norm.on = true;
    norm.layer = ReadNormKind(context.op);
    norm.eps = static_cast<float>(context.op.Number("eps"));
    norm.all = context.op.Text("over") == "all";
    norm.weight = HeadVector(context, weight, norm.all, heads, &norm.weight_step);
    norm.bias = HeadVector(context, bias, norm.all, heads, &norm.bias_step);
    return norm;
  }

  const float* HeadVector(const OpContext& context, const char* key, bool all, int heads,
                          int* step) {
    const auto vector = context.OptionalWeight(key);
    if (vector == nullptr) return nullptr;
    const int dim = args_.head_dim;
    Expect(vector->rows == heads * dim || (!all && vector->rows == dim),
           "a vector of the norm has another length than its heads");
    *step = vector->rows == dim ? 0 : dim;
    vectors_.push_back(vector);
    return vector->Vector();
  }

  Machine* machine_;
  PlanStep* shared_;
  std::vector<std::shared_ptr<const PackedWeight>> vectors_;
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
    if (op.Has("window")) args_.window = op.Int("window");
    args_.softcap = static_cast<float>(op.NumberOr0("softcap"));
    args_.rounded = op.Has("inputs");
    if (op.Has("slopes")) slopes_ = op.Numbers("slopes");
    args_.slopes = slopes_.empty() ? nullptr : slopes_.data();
    sinks_ = context.OptionalWeight("sinks");
    const auto heads = static_cast<size_t>(args_.heads);
    Expect(slopes_.empty() || slopes_.size() == heads, "slopes are not one a head");
    Expect(sinks_ == nullptr || sinks_->rows == args_.heads, "sinks are not one a head");
    Expect(args_.window >= 0, "the window is below 0");
    const CacheLayer& cache = args_.cache;
    Expect(!args_.rounded || (op.Text("inputs") == "bfloat16" &&
                              cache.type == CacheType::kBFloat16 && !cache.latent),
           "inputs are rounded to bfloat16, for keys and values in bfloat16, or not at all");
    Expect(cache.kv_heads == op.Int("kvHeads") && args_.heads % cache.kv_heads == 0,
           "kvHeads is not the cache group's or does not divide heads");
    Expect(input_.cols == args_.heads * cache.key_dim && out_.cols == args_.heads * cache.value_dim,
           "input or output columns are not heads × headDim");
    const int group_heads = args_.heads / cache.kv_heads;
    const int queries = std::max(kMaxQueries / group_heads, 1) * group_heads;  // of a whole tile
    schedule_ = &context.shared->schedules[{group_heads, args_.window}];
    context.shared->kv_heads = cache.kv_heads;
    state_floats_ = static_cast<size_t>(queries) * StateFloats(cache.value_dim);
    kernel_floats_ = AttentionScratch(queries, cache);
    machine_->ReserveScratch(kernel_floats_ + 2 * state_floats_);
  }

  void Run(const StepView& step, StepResult*) override {
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    const int heads = args_.cache.kv_heads;
    machine_->ReservePartials(schedule_->partials * RowFloats());
    const size_t counters = schedule_->tiles.size() * static_cast<size_t>(heads);
    if (unfinished_.size() < counters) unfinished_ = std::vector<std::atomic<int>>(counters);
    for (size_t i = 0; i < counters; ++i) {
      unfinished_[i].store(schedule_->tiles[i / heads].spans, std::memory_order_relaxed);
    }
    const int items = static_cast<int>(schedule_->items.size()) * heads;
    machine_->pool.ParallelFor(items, [&](int item, int worker) {
      const int next = item + 1;
      RunItem(step, item, next < items ? StartOf(step, next) : AttentionPlace(), worker);
    });
  }

 private:
  // Items are those of the schedule, each for all kv heads.
  const AttentionSchedule::Item& PartOf(int item) const {
    return schedule_->items[static_cast<size_t>(item / args_.cache.kv_heads)];
  }
  const AttentionSchedule::Tile& CutOf(int item) const {
    return schedule_->tiles[static_cast<size_t>(PartOf(item).tile)];
  }

  AttentionTile TileOf(const StepView& step, int item) const {
    const AttentionSchedule::Tile& cut = CutOf(item);
    AttentionTile tile;
    tile.table = step.Table(group_, cut.sequence);
    tile.first_row = cut.first_row;
    tile.rows = cut.rows;
    tile.first_limit = cut.first_limit;
    return tile;
  }

  // What an item looks at first.
  AttentionPlace StartOf(const StepView& step, int item) const {
    const AttentionTile tile = TileOf(step, item);
    const int span = (CutOf(item).first_span + PartOf(item).span) * kSpan;
    const int first = args_.window > 0 ? std::max(span, tile.first_limit - args_.window) : span;
    return {tile.table, item % args_.cache.kv_heads, first, tile.Limit()};
  }

  void RunItem(const StepView& step, int item, const AttentionPlace& next, int worker) {
    const AttentionSchedule::Tile& cut = CutOf(item);
    const AttentionTile tile = TileOf(step, item);
    const int head = item % args_.cache.kv_heads;
    float* scratch = machine_->scratch[static_cast<size_t>(worker)].data();
    float* total = scratch + kernel_floats_;
    float* states = total + state_floats_;
    const KernelTable& kernels = *machine_->kernels;
    if (!cut.split) {
      Reset(tile, head, total);
      for (int i = 0; i < cut.spans; ++i) {
        const int span = cut.first_span + i;
        const AttentionPlace following{tile.table, head, (span + 1) * kSpan, tile.Limit()};
        kernels.attend_span(args_, tile, head, span, i + 1 < cut.spans ? following : next, states,
                            scratch);
        Combine(tile, states, total);
      }
      kernels.finish_attention(args_, tile, head, total);
      return;
    }
    const int own = PartOf(item).span;
    kernels.attend_span(args_, tile, head, cut.first_span + own, next, PartialOf(cut, head, own),
                        scratch);
    auto& unfinished =
        unfinished_[static_cast<size_t>(PartOf(item).tile) * args_.cache.kv_heads + head];
    if (unfinished.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    Reset(tile, head, total);  // this was the last span to end: all are combined, in order
    for (int span = 0; span < cut.spans; ++span) Combine(tile, PartialOf(cut, head, span), total);
    kernels.finish_attention(args_, tile, head, total);
  }

  // The states of a row's heads.
  size_t RowFloats() const {
    return static_cast<size_t>(args_.heads) * StateFloats(args_.cache.value_dim);
  }

  // A tile's states of a kv head over a span.
  float* PartialOf(const AttentionSchedule::Tile& cut, int head, int span) const {
    const size_t of_head = cut.rows * RowFloats() / args_.cache.kv_heads;
    float* of_tile = machine_->partials.data() + cut.first_partial * RowFloats();
    return of_tile + (static_cast<size_t>(span) * args_.cache.kv_heads + head) * of_head;
  }

  // Nothing seen yet; or a sink, which adds its weight to the sum and nothing to the values.
  void Reset(const AttentionTile& tile, int kv_head, float* total) const {
    const int floats = StateFloats(args_.cache.value_dim);
    const int group = args_.heads / args_.cache.kv_heads;
    const int queries = tile.rows * group;
    std::fill_n(total, static_cast<size_t>(queries) * floats, 0.0f);
    for (int q = 0; q < queries; ++q, total += floats) {
      total[0] = sinks_ == nullptr ? -HUGE_VALF : sinks_->Vector()[kv_head * group + q % group];
      total[1] = sinks_ == nullptr ? 0 : 1;
    }
  }

  void Combine(const AttentionTile& tile, const float* states, float* total) const {
    const int queries = tile.rows * (args_.heads / args_.cache.kv_heads);
    machine_->kernels->combine_span(total, states, queries, args_.cache.value_dim);
  }

  Machine* machine_;
  int group_;
  Value input_, out_;
  AttentionArgs args_;
  std::vector<float> slopes_;
  std::shared_ptr<const PackedWeight> sinks_;
  const AttentionSchedule* schedule_ = nullptr;
  size_t state_floats_ = 0, kernel_floats_ = 0;
  std::vector<std::atomic<int>> unfinished_;  // spans of (tile, kv head)
};

}  // namespace

std::unique_ptr<CompiledOp> MakeRopeStoreKv(const OpContext& context) {
  return std::make_unique<RopeStoreKvOp>(context);
}

std::unique_ptr<CompiledOp> MakePagedAttention(const OpContext& context) {
  return std::make_unique<PagedAttentionOp>(context);
}

}  // namespace octavo::cpu
