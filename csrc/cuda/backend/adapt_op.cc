// What adapters add to a product.
#include "op_context.h"

namespace octavo::cuda {
namespace {

class AdaptOp : public DeviceOp {
 public:
  explicit AdaptOp(const OpContext& context)
      : machine_(context.machine), input_(context.Input(0)), target_(context.Input(1)) {
    context.ExpectOnly({"weight"});
    const int id = context.op.Int("weight");
    const Weight& changed = context.plan.weights.at(static_cast<size_t>(id));
    Expect(context.state->TypeOf(context.op.inputs[0]) == context.state->type,
           "only `scale` and `sample` may read logits on CUDA");
    Expect(changed.cols == input_.cols, "the weight's columns are not the input's");
    Expect(changed.rows == target_.cols, "the weight's rows are not the target's columns");
    Expect(input_.rows == target_.rows, "input and target have different rows");
    args_.type = context.state->type;
    args_.out_type = context.state->TypeOf(context.op.inputs[1]);
    args_.k = input_.cols;
    args_.n = target_.cols;
    args_.samples = target_.rows == Rows::kSamples;
    const Stream stream = machine_->stream.get();
    const AdapterRoom& room = machine_->adapters.RoomOf(id, changed, args_.type, stream);
    args_.parts = room.parts;
    args_.rank = room.rank;
    args_.table = static_cast<const AdaptedPart*>(room.table.get());
    args_.a = room.a.get();
    args_.b = room.b.get();
    args_.rows = context.plan.MaxRows(target_.rows);
    if (machine_->adapters.slots() > 0) machine_->shrunk.Reserve(AdaptScratch(args_));
  }

  void Launch(Stream stream) override {
    args_.runs = args_.samples ? machine_->rows.adapted_samples : machine_->rows.adapted_tokens;
    if (args_.runs == 0) return;
    args_.step = machine_->upload.device();
    args_.input = machine_->At(input_);
    args_.out = machine_->At(target_);
    args_.shrunk = machine_->shrunk.As<float>();
    args_.rows = machine_->RowsOf(target_);
    Adapt(args_, stream);
  }

 private:
  Machine* machine_;
  Value input_, target_;
  AdaptArgs args_{};
};

}  // namespace

std::unique_ptr<DeviceOp> MakeAdapt(const OpContext& context) {
  return std::make_unique<AdaptOp>(context);
}

}  // namespace octavo::cuda
