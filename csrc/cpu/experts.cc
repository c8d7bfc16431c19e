// Mixtures of experts: choosing a token's experts, their linear layers, and their sum. Each row's
// numbers depend on the row alone, whatever rows share its experts.
#include <algorithm>
#include <cmath>
#include <limits>

#include "op_context.h"

namespace octavo::cpu {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

// The index of the largest value that is not taken yet, the first of equal ones; NaN counts least.
int TakeLargest(const float* values, int count, std::vector<bool>* taken) {
  int best = -1;
  for (int i = 0; i < count; ++i) {
    if ((*taken)[static_cast<size_t>(i)]) continue;
    if (best < 0 || values[i] > values[best] || std::isnan(values[best])) best = i;
  }
  (*taken)[static_cast<size_t>(best)] = true;
  return best;
}

class RouteOp : public CompiledOp {
 public:
  explicit RouteOp(const OpContext& context)
      : machine_(context.machine),
        bias_(context.OptionalWeight("bias")),
        input_(context.Input(0)),
        out_(context.Out()) {
    const Op& op = context.op;
    experts_ = op.Int("experts");
    top_k_ = op.Int("topK");
    renormalise_ = op.Int("renormalise") != 0;
    scale_ = static_cast<float>(op.Number("scale"));
    const std::string& score = op.Text("score");
    Expect(score == "softmax" || score == "sigmoid", "score is neither 'softmax' nor 'sigmoid'");
    softmax_ = score == "softmax";
    if (op.Has("groups")) {
      groups_ = op.Int("groups");
      top_groups_ = op.Int("topGroups");
      best_two_ = op.Text("groupScore") == "bestTwo";
      Expect(best_two_ || op.Text("groupScore") == "best",
             "groupScore is neither 'best' nor 'bestTwo'");
    }
    Expect(input_.cols == experts_, "the input has not one column an expert");
    Expect(groups_ > 0 && experts_ % groups_ == 0, "the experts do not form equal groups");
    Expect(top_groups_ > 0 && top_groups_ <= groups_, "there are not so many groups");
    Expect(top_k_ > 0 && top_k_ <= experts_ / groups_ * top_groups_, "there are too few experts");
    Expect(!best_two_ || experts_ / groups_ > 1, "groups of one expert have no best two");
    Expect(out_.cols == 2 * top_k_, "the output has not 2 × topK columns");
    Expect(bias_ == nullptr || bias_->rows == experts_, "the bias has another length");
  }

  void Run(const StepView& step, StepResult*) override {
    machine_->ForRows(step.tokens, experts_ * top_k_, [&](int first, int last) {
      std::vector<float> scores(static_cast<size_t>(experts_)), choice(scores);
      for (int64_t row = first; row < last; ++row) {
        Scores(machine_->At(input_) + row * experts_, scores.data());
        for (int e = 0; e < experts_; ++e)
          choice[e] = scores[e] + (bias_ == nullptr ? 0 : bias_->Vector()[e]);
        if (groups_ > 1) KeepBestGroups(&choice);
        Choose(scores, choice, machine_->At(out_) + row * out_.cols);
      }
    });
  }

 private:
  void Scores(const float* logits, float* scores) const {
    if (softmax_) {
      const float largest = machine_->kernels->largest(logits, experts_);
      machine_->kernels->exp_shifted(logits, largest, experts_, scores);
      float sum = 0;
      for (int e = 0; e < experts_; ++e) sum += scores[e];
      for (int e = 0; e < experts_; ++e) scores[e] /= sum;
    } else {
      for (int e = 0; e < experts_; ++e) scores[e] = 1 / (1 + std::exp(-logits[e]));
    }
  }

  void KeepBestGroups(std::vector<float>* choice) const {
    const int size = experts_ / groups_;
    std::vector<float> totals;
    for (auto group = choice->begin(); group != choice->end(); group += size) {
      std::vector<bool> taken(static_cast<size_t>(size));
      float total = group[TakeLargest(&*group, size, &taken)];
      if (best_two_) total += group[TakeLargest(&*group, size, &taken)];
      totals.push_back(total);
    }
    std::vector<bool> kept(totals.size());
    for (int i = 0; i < top_groups_; ++i) TakeLargest(totals.data(), groups_, &kept);
    for (int e = 0; e < experts_; ++e)
      if (!kept[static_cast<size_t>(e / size)]) (*choice)[static_cast<size_t>(e)] = kNone;
  }

  void Choose(const std::vector<float>& scores, const std::vector<float>& choice,
              float* out) const {
    std::vector<bool> taken(choice.size());
    float sum = 0;
    for (int j = 0; j < top_k_; ++j) {
      const int expert = TakeLargest(choice.data(), experts_, &taken);
      out[j] = static_cast<float>(expert);
      out[top_k_ + j] = scores[static_cast<size_t>(expert)];
      sum += out[top_k_ + j];
    }
    for (int j = 0; j < top_k_; ++j)
      out[top_k_ + j] = out[top_k_ + j] / (renormalise_ ? sum : 1) * scale_;
  }

  Machine* machine_;
  std::shared_ptr<const PackedWeight> bias_;
  Value input_, out_;
  int experts_ = 0, top_k_ = 0, groups_ = 1, top_groups_ = 1;
  bool softmax_ = true, renormalise_ = false, best_two_ = false;
  float scale_ = 1;
};

// Rows that pass the same expert are computed together. Slot row × topK + j is expert j of a row.
// Without routes all rows pass all experts, in their order: a matrix a head.
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
    Expect(!weights_[0]->coded, "quantised experts are not supported");
    for (const auto& weight : weights_)
      Expect(weight->rows == rows_ && weight->cols == cols_, "the experts have different shapes");
    Expect(biases_.empty() || biases_.size() == weights_.size(), "not every expert has a bias");
    for (const auto& bias : biases_) Expect(bias->rows == rows_, "a bias has another length");
    const int wanted = (split_ ? top_k_ : 1) * cols_;
    Expect(routed_ ? input_.cols == wanted : input_.cols >= wanted, "the input has other columns");
    Expect(out_.cols == top_k_ * rows_, "the output has other columns");
    const size_t floats = static_cast<size_t>(kRowsPerItem) * (cols_ + rows_);
    for (auto& scratch : machine_->scratch) scratch.resize(std::max(scratch.size(), floats));
  }

  void Run(const StepView& step, StepResult*) override {
    GroupSlots(step.tokens);
    MakeItems();
    machine_->pool.ParallelFor(static_cast<int>(items_.size()), [&](int item, int worker) {
      RunItem(items_[static_cast<size_t>(item)],
              machine_->scratch[static_cast<size_t>(worker)].data());
    });
  }

 private:
  // Slots [first, last) of slots_, all of one expert, and panels of its weight.
  struct Item {
    int expert, first, last, first_panel, last_panel;
  };

  void GroupSlots(int tokens) {
    const float* routes = routed_ ? machine_->At(routes_) : nullptr;
    const size_t experts = weights_.size();
    starts_.assign(experts + 1, 0);
    const auto expert_of = [&](int slot) {
      if (!routed_) return static_cast<size_t>(slot % top_k_);
      const float id = routes[static_cast<size_t>(slot / top_k_) * 2 * top_k_ + slot % top_k_];
      Expect(id >= 0 && id < static_cast<float>(experts), "a route leads to no expert");
      return static_cast<size_t>(id);
    };
    const int count = tokens * top_k_;
    for (int slot = 0; slot < count; ++slot) ++starts_[expert_of(slot) + 1];
    for (size_t e = 0; e < experts; ++e) starts_[e + 1] += starts_[e];
    std::vector<int> next(starts_.begin(), starts_.end() - 1);
    slots_.resize(static_cast<size_t>(count));
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
      const int count = starts_[e + 1] - starts_[e];
      const int blocks = (count + kRowsPerItem - 1) / kRowsPerItem;
      for (int block = 0; block < blocks; ++block) {
        const int first = starts_[e] + count * block / blocks;
        const int last = starts_[e] + count * (block + 1) / blocks;
        const int step = static_cast<int>(std::clamp<int64_t>(share / (last - first), 1, panels));
        for (int panel = 0; panel < panels; panel += step)
          items_.push_back(
              {static_cast<int>(e), first, last, panel, std::min(panels, panel + step)});
      }
    }
  }

  void RunItem(const Item& item, float* scratch) {
    const auto expert = static_cast<size_t>(item.expert);
    LinearArgs args;
    args.weight = weights_[expert]->data;
    args.type = weights_[expert]->type;
    args.bias = biases_.empty() ? nullptr : biases_[expert]->Vector();
    args.k = cols_;
    args.n = rows_;
    const int count = item.last - item.first;
    const int* slots = slots_.data() + item.first;
    if (count == 1) {
      args.input = InputOf(slots[0]);
      args.out = OutputOf(slots[0]);
      machine_->kernels->linear(args, item.first_panel, item.last_panel, 0, 1);
      return;
    }
    float* gathered = scratch;
    args.input = gathered;
    args.out = gathered + static_cast<size_t>(count) * cols_;
    for (int i = 0; i < count; ++i)
      std::copy_n(InputOf(slots[i]), cols_, gathered + static_cast<size_t>(i) * cols_);
    machine_->kernels->linear(args, item.first_panel, item.last_panel, 0, count);
    const int first = item.first_panel * kPanel;
    const int columns = std::min(rows_, item.last_panel * kPanel) - first;
    for (int i = 0; i < count; ++i)
      std::copy_n(args.out + static_cast<size_t>(i) * rows_ + first, columns,
                  OutputOf(slots[i]) + first);
  }

  const float* InputOf(int slot) const {
    const float* row = machine_->At(input_) + static_cast<size_t>(slot / top_k_) * input_.cols;
    return split_ ? row + static_cast<size_t>(slot % top_k_) * cols_ : row;
  }
  float* OutputOf(int slot) const { return machine_->At(out_) + static_cast<size_t>(slot) * rows_; }

  static constexpr int kRowsPerItem = 48;
  static constexpr int kItemsPerThread = 8;

  Machine* machine_;
  std::vector<std::shared_ptr<const PackedWeight>> weights_, biases_;
  Value input_, routes_, out_;
  int top_k_ = 0, rows_ = 0, cols_ = 0;  // rows and columns of an expert's weight
  bool routed_, split_ = false;
  std::vector<int> starts_;  // of each expert's slots in slots_
  std::vector<int> slots_;   // in the order of their experts
  std::vector<Item> items_;
};

class CombineExpertsOp : public CompiledOp {
 public:
  explicit CombineExpertsOp(const OpContext& context)
      : machine_(context.machine),
        input_(context.Input(0)),
        routes_(context.Input(1)),
        out_(context.Out()),
        top_k_(context.op.Int("topK")),
        has_shared_(context.op.inputs.size() > 2),
        has_gate_(context.op.inputs.size() > 3) {
    if (has_shared_) shared_ = context.Input(2);
    if (has_gate_) gate_ = context.Input(3);
    Expect(top_k_ > 0 && routes_.cols == 2 * top_k_, "the routes have not 2 × topK columns");
    Expect(input_.cols == top_k_ * out_.cols, "the input has not topK parts of the output's size");
    Expect(!has_shared_ || shared_.cols == out_.cols, "the shared part has other columns");
    Expect(!has_gate_ || gate_.cols == 1, "the gate has not one column");
  }

  void Run(const StepView& step, StepResult*) override {
    machine_->ForRows(step.tokens, input_.cols, [&](int first, int last) {
      for (int row = first; row < last; ++row) Row(static_cast<size_t>(row));
    });
  }

 private:
  void Row(size_t row) const {
    const auto cols = static_cast<size_t>(out_.cols);
    const float* parts = machine_->At(input_) + row * cols * top_k_;
    const float* weights = machine_->At(routes_) + row * routes_.cols + top_k_;
    float* out = machine_->At(out_) + row * cols;
    if (has_shared_) {
      const float* shared = machine_->At(shared_) + row * cols;
      const float gate = has_gate_ ? 1 / (1 + std::exp(-machine_->At(gate_)[row])) : 1;
      for (size_t c = 0; c < cols; ++c) out[c] = gate * shared[c];
    } else {
      std::fill_n(out, cols, 0.0f);
    }
    for (int j = 0; j < top_k_; ++j, parts += cols) {
      const float weight = weights[j];
      for (size_t c = 0; c < cols; ++c) out[c] += weight * parts[c];
    }
  }

  Machine* machine_;
  Value input_, routes_, shared_, gate_, out_;
  int top_k_;
  bool has_shared_, has_gate_;
};

}  // namespace

std::unique_ptr<CompiledOp> CompileExpertOp(const OpContext& context) {
  const std::string& kind = context.op.kind;
  if (kind == "route") return std::make_unique<RouteOp>(context);
  if (kind == "expertLinear" || kind == "headLinear")
    return std::make_unique<ExpertLinearOp>(context);
  if (kind == "combineExperts") return std::make_unique<CombineExpertsOp>(context);
  return nullptr;
}

}  // namespace octavo::cpu
