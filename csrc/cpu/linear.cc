// Products with one matrix: its panels and the rows are shared out among the threads.
#include <algorithm>

#include "op_context.h"

namespace octavo::cpu {
namespace {

class LinearOp : public CompiledOp {
 public:
  explicit LinearOp(const OpContext& context)
      : machine_(context.machine),
        shared_(context.shared),
        number_(context.shared->products.size()),
        weight_(context.Weight("weight")),
        bias_(context.OptionalWeight("bias")),
        input_(context.Input(0)),
        out_(context.Out()),
        input_codes_(context.CodesOf(context.op.inputs[0])) {
    shared_->products.push_back(weight_);
    Expect(weight_->cols == input_.cols, "the weight's columns are not the input's");
    Expect(weight_->rows == out_.cols, "the weight's rows are not the output's columns");
    args_.weight = weight_->data;
    args_.type = weight_->type;
    args_.bias = VectorOf(bias_);
    args_.k = input_.cols;
    args_.n = out_.cols;
    args_.rounded = context.op.Has("inputs");
    if (args_.rounded) {
      Expect(context.op.Text("inputs") == "bfloat16",
             "inputs are rounded to bfloat16 or not at all");
      Expect(!weight_->coded && weight_->type == Type::kBFloat16,
             "inputs are rounded for a matrix in bfloat16 only");
      machine_->ReserveRounded(context.plan.MaxRows(out_.rows), args_.k);
    }
    if (!weight_->coded) return;
    machine_->input_codes.Reserve(context.plan.MaxRows(out_.rows), weight_->codes,
                                  *machine_->kernels, !weight_->column_order.empty());
    machine_->ReserveScratch((weight_->codes.OpenedBytes() + kCacheLine) / sizeof(float));
  }

  void Run(const StepView& step, StepResult*) override {
    const int rows = RowsOf(out_, step);
    if (weight_->coded) return RunCodes(rows);
    LinearArgs args = args_;
    args.input = args.rounded ? Rounded(rows) : machine_->At(input_);
    args.out = machine_->At(out_);
    Share(rows, [&](int, int first_panel, int last_panel, int first_row, int last_row) {
      machine_->kernels->linear(args, first_panel, last_panel, first_row, last_row);
    });
  }

 private:
  static constexpr int kRowsPerBlock = 240;  // their inputs stay in the caches while panels pass
  static constexpr int kItemsPerThread = 8;
  static constexpr int kMaxPanels = 16;
  // Of a matrix that a thread reads at a time, so that it meets long runs of memory.
  static constexpr size_t kItemBytes = size_t{48} << 10;
  static constexpr size_t kFetchedBytes = size_t{128} << 10;  // a part of any second-level cache

  const void* Rounded(int rows) {
    float* rounded = machine_->rounded.data();
    machine_->ForRows(rows, args_.k, [&](int first, int last) {
      machine_->kernels->round_rows(machine_->At(input_), args_.k, rounded, first, last);
    });
    return rounded;
  }

  void RunCodes(int rows) {
    LinearCodesArgs args;
    args.input = input_codes_ && machine_->LieAsCodes(rows)
                     ? machine_->CodesAt(input_, rows, weight_->codes)
                     : Quantized(rows);
    args.weight = weight_->data;
    args.bias = args_.bias;
    args.out = machine_->At(out_);
    args.n = args_.n;
    Share(rows, [&](int worker, int first_panel, int last_panel, int first_row, int last_row) {
      LinearCodesArgs part = args;
      part.opened = RoomToOpen(worker);
      machine_->kernels->linear_codes(part, first_panel, last_panel, first_row, last_row);
    });
  }

  // The worker's scratch, from a line of the cache on.
  uint8_t* RoomToOpen(int worker) {
    const auto at =
        reinterpret_cast<uintptr_t>(machine_->scratch[static_cast<size_t>(worker)].data());
    return reinterpret_cast<uint8_t*>((at + kCacheLine - 1) / kCacheLine * kCacheLine);
  }

  QuantizedRows Quantized(int rows) {
    const QuantizedRows codes = machine_->input_codes.For(rows, weight_->codes, *machine_->kernels);
    constexpr int kBlock = QuantizedRows::kBlock;  // its rows share lines of the cache
    machine_->ForRows(RoundUp(rows, kBlock) / kBlock, kBlock * args_.k, [&](int first, int last) {
      const int first_row = first * kBlock, last_row = std::min(rows, last * kBlock);
      const float* input = InColumnOrder(first_row, last_row);
      machine_->kernels->quantize_rows(input, codes, first_row, last_row);
    });
    return codes;
  }

  // The inputs; rows [first, last) in the order of the weight's columns.
  const float* InColumnOrder(int first, int last) {
    const float* input = machine_->At(input_);
    const std::vector<int32_t>& order = weight_->column_order;
    if (order.empty()) return input;
    float* ordered = machine_->input_codes.Ordered();
    for (int row = first; row < last; ++row) {
      const int64_t begin = int64_t{row} * args_.k;
      for (int i = 0; i < args_.k; ++i) ordered[begin + i] = input[begin + order[i]];
    }
    return ordered;
  }

  // Calls product(worker, first panel, last panel, first row, last row) for parts that make up all.
  // Parts differ by a panel, and by a tile of rows, at most: threads end together.
  template <class Product>
  void Share(int rows, const Product& product) {
    if (rows == 0) return;  // a step that samples nothing
    const int threads = machine_->pool.threads();
    const int panels = (args_.n + kPanel - 1) / kPanel;
    const int row_blocks = (rows + kRowsPerBlock - 1) / kRowsPerBlock;
    const int block_rows = RoundUp((rows + row_blocks - 1) / row_blocks, QuantizedRows::kBlock);
    const int most = static_cast<int>(weight_->Bytes() * static_cast<size_t>(rows) / kItemBytes);
    const int wanted = RoundUp(std::clamp(most, 1, kItemsPerThread * threads), threads);
    const int chunks = std::min(panels, std::max({1, wanted / row_blocks, panels / kMaxPanels}));
    machine_->pool.ParallelFor(row_blocks * chunks, [&](int item, int worker) {
      ReadNext(worker);
      const int block = item / chunks, chunk = item % chunks;
      product(worker, panels * chunk / chunks, panels * (chunk + 1) / chunks, block * block_rows,
              std::min(rows, (block + 1) * block_rows));
    });
  }

  // A worker that waits fetches the beginning of its part of the next product's matrix.
  void ReadNext(int worker) {
    const auto& products = shared_->products;
    const PackedWeight& next = *products[(number_ + 1) % products.size()];
    const size_t panels = next.Bytes() / next.PanelBytes();
    const auto threads = static_cast<size_t>(machine_->pool.threads());
    const size_t first = panels * worker / threads, last = panels * (worker + 1) / threads;
    const size_t bytes = (last - first) * next.PanelBytes();
    machine_->pool.ReadNext(worker, next.data + first * next.PanelBytes(),
                            std::min(bytes, kFetchedBytes));
  }

  Machine* machine_;
  PlanStep* shared_;
  size_t number_;  // among the products
  std::shared_ptr<const PackedWeight> weight_, bias_;
  Value input_, out_;
  std::optional<CodesLayout> input_codes_;
  LinearArgs args_;
};

}  // namespace

std::unique_ptr<CompiledOp> MakeLinear(const OpContext& context) {
  return std::make_unique<LinearOp>(context);
}

}  // namespace octavo::cpu
