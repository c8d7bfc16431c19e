// Latent attention's rows of the cache: one a token, which all heads share.
#include <algorithm>

#include "half.h"
#include "op_context.h"

namespace octavo::cpu {
namespace {

class StoreLatentOp : public CompiledOp {
 public:
  explicit StoreLatentOp(const OpContext& context)
      : machine_(context.machine),
        shared_(context.shared),
        weight_(context.Weight("weight")),
        group_(context.Group()),
        input_(context.Input(0)),
        positions_(context.Input(1)),
        latent_(context.Input(2)),
        out_(context.Out()),
        cache_(machine_->Layer(group_, context.op.Int("layer"))),
        heads_(context.op.Int("heads")),
        rope_(context.op.Int("rope")),
        eps_(static_cast<float>(context.op.Number("eps"))) {
    rank_ = cache_.value_dim;
    turned_ = cache_.key_dim - rank_;
    const Rope& rope = shared_->ropes.at(static_cast<size_t>(rope_));
    interleaved_ = rope.interleaved;
    Expect(cache_.latent && cache_.kv_heads == 1, "the cache group is not latent");
    Expect(heads_ > 0 && input_.cols == heads_ * rank_, "the input has other columns");
    Expect(positions_.cols >= heads_ * turned_, "positions have too few columns");
    Expect(latent_.cols == cache_.key_dim, "the latent rows have other columns than the cache");
    Expect(out_.cols == heads_ * cache_.key_dim, "the output has other columns");
    Expect(rope.dim == turned_, "the rope turns other columns");
    Expect(weight_->rows == rank_, "the weight has another length");
    machine_->ReserveScratch(static_cast<size_t>(cache_.key_dim));
  }

  void Run(const StepView& step, StepResult*) override {
    constexpr int kRowsPerItem = 4;
    machine_->pool.ParallelFor(
        (step.tokens + kRowsPerItem - 1) / kRowsPerItem, [&](int item, int worker) {
          const int last = std::min(step.tokens, (item + 1) * kRowsPerItem);
          for (int row = item * kRowsPerItem; row < last; ++row) {
            Store(step, row, machine_->scratch[static_cast<size_t>(worker)].data());
            Queries(row);
          }
        });
  }

 private:
  void Store(const StepView& step, int row, float* key) const {
    const float* latent = machine_->At(latent_) + static_cast<size_t>(row) * latent_.cols;
    NormArgs norm;
    norm.input = latent;
    norm.weight = weight_->Vector();
    norm.out = key;
    norm.cols = rank_;
    norm.eps = eps_;
    machine_->kernels->norm(norm, 0, 1);
    Rotate(row, latent + rank_, key + rank_);
    const int s = shared_->sequence_of_row[static_cast<size_t>(row)];
    const SequenceRow& sequence = step.sequence_rows[s];
    const int position = sequence.context_length - sequence.row_count + row - sequence.first_row;
    const int64_t block = step.Table(group_, s)[position / cache_.block_size];
    const int slot = position % cache_.block_size;
    switch (cache_.type) {
      case CacheType::kFloat32: return StoreAs<float>(key, block, slot);
      case CacheType::kBFloat16: return StoreAs<BFloat16>(key, block, slot);
      case CacheType::kFloat16: return StoreAs<Float16>(key, block, slot);
      case CacheType::kInt8: return StoreAs<Int8>(key, block, slot);
      case CacheType::kFloat8: return StoreAs<Float8>(key, block, slot);
    }
  }

  template <class T>
  void StoreAs(float* key, int64_t block, int slot) const {
    T* to = ValuesOf<T>(cache_, block, 0) + static_cast<int64_t>(slot) * cache_.key_dim;
    if constexpr (std::is_same_v<T, Int8>)
      DivideByScale(key, cache_.key_dim, ScalesOf(cache_, block, 0, false) + slot * sizeof(float));
    for (int d = 0; d < cache_.key_dim; ++d) FromFloat(key[d], to + d);
  }

  void Queries(int row) const {
    const float* absorbed = machine_->At(input_) + static_cast<size_t>(row) * input_.cols;
    const float* turning = machine_->At(positions_) +
                           static_cast<size_t>(row + 1) * positions_.cols - heads_ * turned_;
    float* out = machine_->At(out_) + static_cast<size_t>(row) * out_.cols;
    for (int head = 0; head < heads_; ++head, out += cache_.key_dim) {
      std::copy_n(absorbed + static_cast<size_t>(head) * rank_, rank_, out);
      Rotate(row, turning + static_cast<size_t>(head) * turned_, out + rank_);
    }
  }

  void Rotate(int row, const float* from, float* to) const {
    const PlanStep::Angles& angles = shared_->angles[static_cast<size_t>(rope_)];
    const int half = turned_ / 2;
    const float* cosines = angles.cosines.data() + static_cast<size_t>(row) * half;
    const float* sines = angles.sines.data() + static_cast<size_t>(row) * half;
    const int step = interleaved_ ? 2 : 1, apart = interleaved_ ? 1 : half;
    for (int i = 0; i < half; ++i) {
      const float a = from[step * i], b = from[step * i + apart];
      to[step * i] = a * cosines[i] - b * sines[i];
      to[step * i + apart] = b * cosines[i] + a * sines[i];
    }
  }

  Machine* machine_;
  PlanStep* shared_;
  std::shared_ptr<const PackedWeight> weight_;
  int group_;
  Value input_, positions_, latent_, out_;
  CacheLayer cache_;
  int heads_, rope_, rank_ = 0, turned_ = 0;
  float eps_;
  bool interleaved_ = false;
};

}  // namespace

std::unique_ptr<CompiledOp> MakeStoreLatent(const OpContext& context) {
  return std::make_unique<StoreLatentOp>(context);
}

}  // namespace octavo::cpu
