// The linear layers of experts, and a matrix a head. Rows that pass the same expert are computed
// together; each row's numbers depend on the row alone, whatever rows share its expert.
#include <algorithm>

#include "op_context.h"

namespace octavo::cpu {
namespace {

// Slot row × topK + j is expert j of a row. Without routes all rows pass all experts, in their
// order: a matrix a head.
class ExpertLinearOp : public CompiledOp {
 public:
  explicit ExpertLinearOp(const OpContext& context)
      : machine_(context.machine),
        weights_(context.Weights("weights")),
        input_(context.Input(0)),
        out_(context.Out()),
        routed_(context.op.inputs.size() > 1) {
    const Op& op = context.op;
    if (routed_) routes_ = context.Input(1);
    top_k_ = routed_ ? op.Int("topK") : static_cast<int>(weights_.size());
    split_ = !routed_ || op.Int("split") != 0;
    if (op.Has("biases")) biases_ = context.Weights("biases");
    Expect(!weights_.empty(), "there are no matrices");
    Expect(top_k_ > 0 && (!routed_ || routes_.cols == 2 * top_k_),
           "the routes have not 2 × topK columns");
    rows_ = weights_[0]->rows;
    cols_ = weights_[0]->cols;
    coded_ = weights_[0]->coded;
    for (const auto& weight : weights_) {
      Expect(weight->rows == rows_ && weight->cols == cols_, "the experts have different shapes");
      Expect(weight->coded == coded_ && weight->codes.group == weights_[0]->codes.group,
             "the experts have different types");
    }
    Expect(biases_.empty() || biases_.size() == weights_.size(), "not every expert has a bias");
    for (const auto& bias : biases_) Expect(bias->rows == rows_, "a bias has another length");
    const int wanted = (split_ ? top_k_ : 1) * cols_;
    Expect(routed_ ? input_.cols == wanted : input_.cols >= wanted, "the input has other columns");
    Expect(out_.cols == top_k_ * rows_, "the output has other columns");
    Reserve(context.plan.MaxRows(out_.rows) * top_k_);
  }

  void Run(const StepView& step, StepResult*) override {
    GroupSlots(step.tokens);
    if (coded_) QuantizeInputs();
    MakeItems();
    machine_->pool.ParallelFor(static_cast<int>(items_.size()), [&](int item, int worker) {
      float* scratch = Scratch(worker);
      const Item& part = items_[static_cast<size_t>(item)];
      coded_ ? MultiplyCodes(part, scratch) : Multiply(part, scratch);
    });
  }

 private:
  // Places [first, first + count) of slots_, all of one expert, and panels of its weight.
  struct Item {
    int expert, first, count, first_panel, last_panel;
  };

  static constexpr int kRowsPerItem = 48;
  static constexpr int kItemsPerThread = 8;
  static constexpr int kBlock = QuantizedRows::kBlock;
  static_assert(kRowsPerItem % kBlock == 0, "an item's quantised rows begin a block");

  void Reserve(int slots) {
    machine_->ReserveScratch(static_cast<size_t>(kRowsPerItem) * (cols_ + rows_));
    if (!coded_) return;
    widest_ = weights_[0]->codes;
    for (const auto& weight : weights_)
      if (PlanesOf(weight->codes) > PlanesOf(widest_)) widest_ = weight->codes;
    const int experts = std::min(slots, static_cast<int>(weights_.size()));
    machine_->input_codes.Reserve(slots + experts * (kBlock - 1), widest_, *machine_->kernels,
                                  false);
  }

  // Puts the slots in the order of their experts. Those of an expert begin a block of kBlock
  // places; places that are left over hold kNoSlot.
  void GroupSlots(int tokens) {
    const float* routes = routed_ ? machine_->At(routes_) : nullptr;
    const size_t experts = weights_.size();
    const auto expert_of = [&](int slot) {
      if (!routed_) return static_cast<size_t>(slot % top_k_);
      const float id = routes[static_cast<size_t>(slot / top_k_) * 2 * top_k_ + slot % top_k_];
      Expect(id >= 0 && id < static_cast<float>(experts), "a route leads to no expert");
      return static_cast<size_t>(id);
    };
    const int count = tokens * top_k_;
    counts_.assign(experts, 0);
    for (int slot = 0; slot < count; ++slot) ++counts_[expert_of(slot)];
    starts_.assign(1, 0);
    for (const int slots : counts_) starts_.push_back(starts_.back() + RoundUp(slots, kBlock));
    std::vector<int> next = starts_;
    slots_.assign(static_cast<size_t>(starts_.back()), kNoSlot);
    for (int slot = 0; slot < count; ++slot)
      slots_[static_cast<size_t>(next[expert_of(slot)]++)] = slot;
  }

  // Items of about equal work, several for each thread.
  void MakeItems() {
    items_.clear();
    const int panels = (rows_ + kPanel - 1) / kPanel;
    const int64_t total = static_cast<int64_t>(slots_.size()) * panels;
    const int64_t share = total / (int64_t{kItemsPerThread} * machine_->pool.threads());
    for (size_t e = 0; e < weights_.size(); ++e) {
      if (counts_[e] == 0) continue;
      const int blocks = (counts_[e] + kRowsPerItem - 1) / kRowsPerItem;
      const int size = RoundUp((counts_[e] + blocks - 1) / blocks, kBlock);
      for (int first = 0; first < counts_[e]; first += size) {
        const int count = std::min(size, counts_[e] - first);
        const int step = static_cast<int>(std::clamp<int64_t>(share / count, 1, panels));
        for (int panel = 0; panel < panels; panel += step)
          items_.push_back({static_cast<int>(e), starts_[e] + first, count, panel,
                            std::min(panels, panel + step)});
      }
    }
  }

  // The inputs of all places as codes, with each expert's order of columns.
  void QuantizeInputs() {
    codes_ =
        machine_->input_codes.For(static_cast<int>(slots_.size()), widest_, *machine_->kernels);
    const int blocks = static_cast<int>(slots_.size()) / kBlock;
    machine_->pool.ParallelFor(blocks, [&](int block, int worker) {
      const int first = block * kBlock;
      const auto expert = static_cast<size_t>(
          std::upper_bound(starts_.begin(), starts_.end(), first) - starts_.begin() - 1);
      float* gathered = Scratch(worker);
      const int count = std::min(kBlock, starts_[expert] + counts_[expert] - first);
      Gather(first, count, weights_[expert]->column_order, gathered);
      machine_->kernels->quantize_rows(gathered, CodesFor(expert, first), 0, count);
    });
  }

  // The inputs of an expert's places from `first` on. Experts may differ in bits, and so in planes.
  QuantizedRows CodesFor(size_t expert, int first) const {
    QuantizedRows codes = codes_.From(starts_[expert]);
    codes.layout = weights_[expert]->codes;
    codes.planes = PlanesOf(codes.layout);
    return codes.From(first - starts_[expert]);
  }
  int PlanesOf(const CodesLayout& layout) const { return machine_->kernels->planes_of(layout); }

  // The inputs of `count` places, in an order of columns (empty: their own).
  void Gather(int first, int count, const std::vector<int32_t>& order, float* to) const {
    for (int i = 0; i < count; ++i, to += cols_) {
      const float* from = InputOf(slots_[static_cast<size_t>(first + i)]);
      if (order.empty()) {
        std::copy_n(from, cols_, to);
      } else {
        for (int c = 0; c < cols_; ++c) to[c] = from[order[static_cast<size_t>(c)]];
      }
    }
  }

  void Multiply(const Item& item, float* scratch) {
    const PackedWeight& weight = *weights_[static_cast<size_t>(item.expert)];
    LinearArgs args;
    args.weight = weight.data;
    args.type = weight.type;
    args.bias = BiasOf(item);
    args.k = cols_;
    args.n = rows_;
    float* gathered = scratch + static_cast<size_t>(item.count) * rows_;
    args.input = item.count == 1 ? InputOf(SlotAt(item, 0)) : gathered;
    if (item.count > 1) Gather(item.first, item.count, {}, gathered);
    args.out = ResultOf(item, scratch);
    machine_->kernels->linear(args, item.first_panel, item.last_panel, 0, item.count);
    Scatter(item, args.out);
  }

  void MultiplyCodes(const Item& item, float* scratch) {
    const PackedWeight& weight = *weights_[static_cast<size_t>(item.expert)];
    LinearCodesArgs args;
    args.input = CodesFor(static_cast<size_t>(item.expert), item.first);
    args.weight = weight.data;
    args.bias = BiasOf(item);
    args.n = rows_;
    args.out = ResultOf(item, scratch);
    machine_->kernels->linear_codes(args, item.first_panel, item.last_panel, 0, item.count);
    Scatter(item, args.out);
  }

  // Where an item's rows [count, rows_] are written: one goes to its place at once.
  float* ResultOf(const Item& item, float* scratch) const {
    return item.count == 1 ? OutputOf(SlotAt(item, 0)) : scratch;
  }
  void Scatter(const Item& item, const float* rows) const {
    if (item.count == 1) return;
    const int first = item.first_panel * kPanel;
    const int columns = std::min(rows_, item.last_panel * kPanel) - first;
    for (int i = 0; i < item.count; ++i)
      std::copy_n(rows + static_cast<size_t>(i) * rows_ + first, columns,
                  OutputOf(SlotAt(item, i)) + first);
  }

  int SlotAt(const Item& item, int i) const { return slots_[static_cast<size_t>(item.first + i)]; }
  const float* BiasOf(const Item& item) const {
    return biases_.empty() ? nullptr : biases_[static_cast<size_t>(item.expert)]->Vector();
  }
  float* Scratch(int worker) const { return machine_->scratch[static_cast<size_t>(worker)].data(); }
  const float* InputOf(int slot) const {
    const float* row = machine_->At(input_) + static_cast<size_t>(slot / top_k_) * input_.cols;
    return split_ ? row + static_cast<size_t>(slot % top_k_) * cols_ : row;
  }
  float* OutputOf(int slot) const { return machine_->At(out_) + static_cast<size_t>(slot) * rows_; }

  static constexpr int kNoSlot = -1;

  Machine* machine_;
  std::vector<std::shared_ptr<const PackedWeight>> weights_, biases_;
  Value input_, routes_, out_;
  int top_k_ = 0, rows_ = 0, cols_ = 0;  // rows and columns of an expert's weight
  bool routed_, split_ = false, coded_ = false;
  std::vector<int> counts_, starts_;  // of each expert's slots in slots_
  std::vector<int> slots_;
  CodesLayout widest_;  // of an expert whose inputs take the most planes
  QuantizedRows codes_;
  std::vector<Item> items_;
};

}  // namespace

std::unique_ptr<CompiledOp> MakeExpertLinear(const OpContext& context) {
  return std::make_unique<ExpertLinearOp>(context);
}

}  // namespace octavo::cpu
