// What adapters add to a product: two small products for the rows of each, shared out together.
#include <algorithm>

#include "op_context.h"

namespace octavo::cpu {
namespace {

class AdaptOp : public CompiledOp {
 public:
  explicit AdaptOp(const OpContext& context)
      : machine_(context.machine),
        shared_(context.shared),
        weight_(context.op.Int("weight")),
        input_(context.Input(0)),
        target_(context.Input(1)) {
    const Weight& changed = context.plan.weights.at(static_cast<size_t>(weight_));
    Expect(changed.cols == input_.cols, "the weight's columns are not the input's");
    Expect(changed.rows == target_.cols, "the weight's rows are not the target's columns");
    Expect(input_.rows == target_.rows, "input and target have different rows");
    machine_->ReserveScratch(static_cast<size_t>(kAdaptedRows) * kPanelsPerChunk * kPanel);
  }

  void Run(const StepView&, StepResult*) override {
    FindItems(target_.rows == Rows::kSamples ? shared_->adapted_samples : shared_->adapted_tokens);
    if (items_.empty()) return;
    machine_->pool.ParallelFor(static_cast<int>(items_.size()), [&](int item, int worker) {
      Shrink(items_[static_cast<size_t>(item)], worker);
    });
    machine_->pool.ParallelFor(static_cast<int>(chunks_.size()), [&](int chunk, int worker) {
      Expand(chunks_[static_cast<size_t>(chunk)], worker);
    });
  }

 private:
  static constexpr int kPanelsPerChunk = 8;

  // Some rows of a run that one stack changes.
  struct Item {
    const PackedStack* stack;
    int first_row, rows;
    size_t shrunk;  // where rows × rank numbers of each part lie, one part behind the other
  };
  // Some panels of b of one of its parts.
  struct Chunk {
    size_t item;
    const PackedPart* part;
    int first_panel, last_panel;
  };

  void FindItems(const std::vector<AdapterRun>& runs) {
    items_.clear();
    chunks_.clear();
    size_t shrunk = 0;
    for (const AdapterRun& run : runs) {
      for (const PackedStack& stack : machine_->AdapterAt(run.adapter).StacksOf(weight_)) {
        for (int row = 0; row < run.rows; row += kAdaptedRows) {
          const int rows = std::min(kAdaptedRows, run.rows - row);
          AddItem({&stack, run.first_row + row, rows, shrunk});
          shrunk += static_cast<size_t>(rows) * stack.a.rows;
        }
      }
    }
    if (machine_->shrunk.size() < shrunk) machine_->shrunk.resize(shrunk);
  }

  void AddItem(const Item& item) {
    for (const PackedPart& part : item.stack->parts) {
      const int panels = RoundUp(part.b.rows, kPanel) / kPanel;
      for (int panel = 0; panel < panels; panel += kPanelsPerChunk)
        chunks_.push_back({items_.size(), &part, panel, std::min(panels, panel + kPanelsPerChunk)});
    }
    items_.push_back(item);
  }

  // input × aᵀ, of each part by itself.
  void Shrink(const Item& item, int worker) {
    const PackedWeight& a = item.stack->a;
    float* all = machine_->scratch[static_cast<size_t>(worker)].data();
    LinearArgs args;
    args.input = machine_->At(input_) + int64_t{item.first_row} * input_.cols;
    args.weight = a.data;
    args.type = a.type;
    args.out = all;
    args.k = a.cols;
    args.n = a.rows;
    machine_->kernels->linear(args, 0, RoundUp(a.rows, kPanel) / kPanel, 0, item.rows);
    for (const PackedPart& part : item.stack->parts) {
      float* to = ShrunkOf(item, part);
      for (int row = 0; row < item.rows; ++row)
        std::copy_n(all + row * a.rows + part.shrunk_first, part.b.cols, to + row * part.b.cols);
    }
  }

  float* ShrunkOf(const Item& item, const PackedPart& part) {
    return machine_->shrunk.data() + item.shrunk + item.rows * part.shrunk_first;
  }

  // target += scale × (what was shrunk × bᵀ), in the columns of some panels.
  void Expand(const Chunk& chunk, int worker) {
    const Item& item = items_[chunk.item];
    const PackedPart& part = *chunk.part;
    const int first = chunk.first_panel * kPanel;
    float* added = machine_->scratch[static_cast<size_t>(worker)].data();
    LinearArgs args;
    args.input = ShrunkOf(item, part);
    args.weight = part.b.data + static_cast<size_t>(chunk.first_panel) * part.b.PanelBytes();
    args.type = part.b.type;
    args.out = added;
    args.k = part.b.cols;
    args.n = std::min(part.b.rows, chunk.last_panel * kPanel) - first;
    machine_->kernels->linear(args, 0, chunk.last_panel - chunk.first_panel, 0, item.rows);
    for (int row = 0; row < item.rows; ++row) {
      const float* from = added + static_cast<size_t>(row) * args.n;
      float* to = machine_->At(target_) + (int64_t{item.first_row} + row) * target_.cols +
                  part.first + first;
      for (int c = 0; c < args.n; ++c) to[c] += part.scale * from[c];
    }
  }

  Machine* machine_;
  PlanStep* shared_;
  int weight_;
  Value input_, target_;
  std::vector<Item> items_;
  std::vector<Chunk> chunks_;
};

}  // namespace

std::unique_ptr<CompiledOp> MakeAdapt(const OpContext& context) {
  return std::make_unique<AdaptOp>(context);
}

}  // namespace octavo::cpu
