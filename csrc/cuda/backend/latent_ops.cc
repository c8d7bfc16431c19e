// Latent attention's rows of the cache: one a token, which all heads share.
#include "op_context.h"

namespace octavo::cuda {
namespace {

class StoreLatentOp : public DeviceOp {
 public:
  explicit StoreLatentOp(const OpContext& context)
      : machine_(context.machine),
        state_(context.state),
        weight_(context.Weight("weight")),
        input_(context.Input(0)),
        positions_(context.Input(1)),
        latent_(context.Input(2)),
        out_(context.Out()),
        group_(context.Group()),
        layer_(context.op.Int("layer")),
        rope_(context.op.Int("rope")) {
    context.ExpectOnly({"rope", "weight", "eps", "group", "layer", "heads"});
    context.ExpectActivations();
    const CacheView cache = machine_->Layer(group_, layer_);
    const Rope& rope = context.plan.ropes.at(static_cast<size_t>(rope_));
    args_.type = context.state->type;
    args_.heads = context.op.Int("heads");
    args_.eps = static_cast<float>(context.op.Number("eps"));
    args_.turned = cache.key_dim - cache.value_dim;
    args_.interleaved = rope.interleaved;
    args_.position_cols = positions_.cols;
    Expect(cache.latent && cache.kv_heads == 1, "the cache group is not latent");
    Expect(args_.heads > 0 && input_.cols == args_.heads * cache.value_dim,
           "the input has other columns");
    Expect(positions_.cols >= args_.heads * args_.turned, "positions have too few columns");
    Expect(latent_.cols == cache.key_dim, "the latent rows have other columns than the cache");
    Expect(out_.cols == args_.heads * cache.key_dim, "the output has other columns");
    Expect(rope.dim == args_.turned, "the rope turns other columns");
    Expect(weight_->rows == cache.value_dim, "the weight has another length");
    args_.weight = VectorOf(weight_);
  }

  void Launch(Stream stream) override {
    const PlanState::Angles& angles = state_->angles[static_cast<size_t>(rope_)];
    args_.step = machine_->upload.device();
    args_.cache = machine_->Layer(group_, layer_);
    args_.input = machine_->At(input_);
    args_.positions = machine_->At(positions_);
    args_.latent = machine_->At(latent_);
    args_.cosines = angles.cosines.As<float>();
    args_.sines = angles.sines.As<float>();
    args_.out = machine_->At(out_);
    args_.rows = machine_->rows.tokens;
    StoreLatent(args_, stream);
  }

 private:
  Machine* machine_;
  PlanState* state_;
  std::shared_ptr<const DeviceWeight> weight_;
  Value input_, positions_, latent_, out_;
  int group_, layer_, rope_;
  StoreLatentArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeStoreLatent(const OpContext& context) {
  return std::make_unique<StoreLatentOp>(context);
}

}  // namespace octavo::cuda
