// Mixtures of experts: choosing a token's experts, and the sum of what they give (expert_linear.cc
// has their linear layers).
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
  if (kind == "expertLinear" || kind == "headLinear") return MakeExpertLinear(context);
  if (kind == "combineExperts") return std::make_unique<CombineExpertsOp>(context);
  return nullptr;
}

}  // namespace octavo::cpu
