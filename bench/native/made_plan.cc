#include "made_plan.h"

#include <cstring>

namespace octavo::bench {
namespace {

// Small numbers of both signs, exact in every element type.
float MadeUp(size_t index) {
  return (static_cast<float>((index * 2654435761u >> 7) % 255) - 127) / 1024;
}

template <class To>
void Append(std::vector<int32_t>* ints, const To& entry) {
  const size_t at = ints->size();
  ints->resize(at + sizeof(To) / sizeof(int32_t));
  std::memcpy(ints->data() + at, &entry, sizeof(To));
}

}  // namespace

MadeStep::MadeStep(const Workload& load, int block_size, const SampleFloats& sampling, int top_k) {
  const int tokens = load.tokens * load.sequences;
  const int table = (load.context + block_size - 1) / block_size;
  ints_ = {kStepFormatVersion,    0, 0, tokens, load.sequences, load.samples, 1,
           table * load.sequences};
  ints_.resize(kHeaderInts);  // no penalties, biases, masks or copies
  ints_.insert(ints_.end(), static_cast<size_t>(tokens), 1);
  for (int s = 0; s < load.sequences; ++s) {
    for (int t = 0; t < load.tokens; ++t) ints_.push_back(load.context - load.tokens + t);
  }
  for (int s = 0; s < load.sequences; ++s) {
    Append(&ints_, SequenceRow{s * load.tokens, load.tokens, load.context, load.context, -1});
  }
  for (int s = 0; s <= load.sequences; ++s) ints_.push_back(s * table);
  // Neighbouring blocks of a sequence are far apart in the pool, as after some hours of serving.
  for (int s = 0; s < load.sequences; ++s) {
    for (int i = 0; i < table; ++i) ints_.push_back(1 + i * load.sequences + s);
  }
  blocks_ = 1 + table * load.sequences;
  for (int r = 0; r < load.samples; ++r) {
    SampleInts sample = {};
    sample.token_row = r % tokens;
    sample.top_k = top_k;
    sample.seed_low = r;
    sample.logprobs = sample.target = sample.mask = sample.shared_mask = -1;
    Append(&ints_, sample);
    const float* first = &sampling.temperature;
    floats_.insert(floats_.end(), first, first + kSampleFloats);
  }
  view_ = StepView::Parse(ints_.data(), ints_.size(), floats_.data(), floats_.size());
}

MadePlan::MadePlan(const std::string& ops, const Workload& load, const BackendOptions& options,
                   int blocks, size_t arena_bytes) {
  const int tokens = load.tokens * load.sequences;
  plan_ = Plan::Parse("octavo-plan 1 bench vocab=49152\nlimits T=" + std::to_string(tokens) +
                      " S=" + std::to_string(load.sequences) +
                      " R=" + std::to_string(load.samples > 0 ? load.samples : 1) +
                      " arena=" + std::to_string(arena_bytes) + "\n" + ops);
  backend_ = MakeCpuBackend(options);
  backend_->AllocateCache(plan_.caches, blocks);
  std::vector<float> numbers;
  for (size_t id = 0; id < plan_.weights.size(); ++id) {
    const Weight& weight = plan_.weights[id];
    TensorView view;
    view.shape = {weight.rows, weight.cols};
    numbers.resize(static_cast<size_t>(view.Count()));
    for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = MadeUp(i + id);
    view.data = numbers.data();
    backend_->LoadWeight(plan_, static_cast<int>(id), {view});
    backend_->FinishWeights();
  }
  ops_ = backend_->Compile(plan_);
}

void MadePlan::Run(const StepView& step) {
  StepResult result;
  backend_->BeginStep(plan_, step);
  for (const auto& op : ops_) op->Run(step, &result);
}

void MadePlan::RunLast(const StepView& step) {
  StepResult result;
  ops_.back()->Run(step, &result);
}

}  // namespace octavo::bench
