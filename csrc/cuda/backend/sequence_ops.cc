// Ops over several rows of a sequence: short convolutions and pooling.
#include "op_context.h"

namespace octavo::cuda {
namespace {

class ShortConvOp : public DeviceOp {
 public:
  explicit ShortConvOp(const OpContext& context)
      : machine_(context.machine),
        weight_(context.Weight("weight")),
        input_(context.Input(0)),
        out_(context.Out()),
        group_(context.Group()),
        layer_(context.op.Int("layer")) {
    context.ExpectOnly({"weight", "bias", "width", "group", "layer"});
    context.ExpectActivations();
    args_.type = context.state->type;
    args_.width = context.op.Int("width");
    args_.cols = out_.cols;
    const CacheGroup& cache = machine_->cache.groups[static_cast<size_t>(group_)];
    Expect(args_.width > 0 && cache.IsState() && cache.elements == (args_.width - 1) * out_.cols,
           "the cache group has no state of (width − 1) × columns numbers");
    Expect(cache.type == CacheType::kFloat32, "the state is not of float32");
    Expect(input_.cols == 3 * out_.cols, "the input has not three parts of the output's columns");
    Expect(weight_->rows == static_cast<int64_t>(out_.cols) * args_.width,
           "the weight has another length");
    bias_ = context.OptionalVector("bias", out_.cols);
    args_.weight = VectorOf(weight_);
    args_.bias = VectorOf(bias_);
  }

  void Launch(Stream stream) override {
    args_.step = machine_->upload.device();
    args_.cache = machine_->Layer(group_, layer_);
    args_.input = machine_->At(input_);
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.tokens;
    args_.sequences = machine_->rows.sequences;
    ShortConv(args_, stream);
  }

 private:
  Machine* machine_;
  std::shared_ptr<const DeviceWeight> weight_, bias_;
  Value input_, out_;
  int group_, layer_;
  ShortConvArgs args_{};
};

class PoolOp : public DeviceOp {
 public:
  explicit PoolOp(const OpContext& context) : machine_(context.machine), input_(context.Input(0)) {
    context.ExpectOnly({});
    Expect(context.state->TypeOf(context.op.inputs[0]) == context.state->type,
           "only `scale` and `sample` may read logits on CUDA");
    Expect(input_.rows == Rows::kTokens, "the input has no token rows");
    args_.type = context.state->type;
    args_.cols = input_.cols;
  }

  void Launch(Stream stream) override {
    args_.step = machine_->upload.device();
    args_.input = machine_->At(input_);
    args_.pools = machine_->rows.pools;
    args_.out = machine_->results.pooled();
    Pool(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_;
  PoolArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeShortConv(const OpContext& context) {
  return std::make_unique<ShortConvOp>(context);
}

std::unique_ptr<DeviceOp> MakePool(const OpContext& context) {
  return std::make_unique<PoolOp>(context);
}

}  // namespace octavo::cuda
