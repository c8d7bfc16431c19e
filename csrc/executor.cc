#include "executor.h"

#include <algorithm>
#include <new>
#include <utility>

#include "warm_up.h"

namespace octavo {
namespace {

bool SameLayout(const CacheGroup& a, const CacheGroup& b) {
  return a.kind == b.kind && a.type == b.type && a.layers == b.layers && a.kv_heads == b.kv_heads &&
         a.key_dim == b.key_dim && a.value_dim == b.value_dim && a.latent == b.latent &&
         a.window == b.window && a.elements == b.elements;
}

int RowsOf(const Value& value, const StepView& view) {
  switch (value.rows) {
    case Rows::kTokens: return view.tokens;
    case Rows::kSequences: return view.sequences;
    case Rows::kSamples: return view.samples;
  }
  return 0;
}

// A norm writes its second input, the residual, in place; so does an adapter its target.
bool Writes(const Op& op, int value) {
  const bool in_place = op.kind == "norm" || op.kind == "adapt";
  return op.out == value || (in_place && op.inputs.size() > 1 && op.inputs[1] == value);
}

StepResult EmptyResult(int samples) {
  StepResult result;
  const auto rows = static_cast<size_t>(samples);
  result.ids.resize(rows);
  result.ranks.resize(rows);
  result.logprobs.resize(rows);
  result.top_starts.resize(rows + 1);
  return result;
}

}  // namespace

Step::Step(const int32_t* int_data, size_t int_count, const float* float_data, size_t float_count)
    : ints(int_data, int_data + int_count), floats(float_data, float_data + float_count) {
  view = StepView::Parse(ints.data(), ints.size(), floats.data(), floats.size());
}

Executor::Loaded Executor::Load(std::shared_ptr<const Plan> plan, TensorSource* tensors,
                                const Progress& progress, const WeightFile& file) {
  AllocateCache(*plan);
  Loaded loaded;
  for (const Weight& weight : plan->weights) loaded.bytes += weight.Bytes();
  const uint64_t total = loaded.bytes;
  if (!TakeWeights(*plan, file, [&] { progress(0, total); }, &loaded)) {
    LoadWeights(*plan, tensors, progress, total);
    KeepWeights(*plan, file, [&] { progress(total, total); }, &loaded);
  }
  progress(total, total);
  loaded.bytes += plan->arena_bytes;
  LoadedPlan compiled;
  compiled.ops = backend_->Compile(*plan);
  compiled.plan = std::move(plan);
  plans_.push_back(std::move(compiled));
  if (plans_.size() > 1) return loaded;
  if (pool_.memory_share > 0) SizeCache(plans_[0]);
  const auto blocks = static_cast<uint64_t>(pool_.device_blocks) + pool_.host_blocks;
  loaded.bytes += blocks * BlockBytes(plans_[0].plan->caches, pool_.block_size);
  return loaded;
}

void Executor::AllocateCache(const Plan& plan) {
  if (!plans_.empty()) {
    const auto& groups = plans_[0].plan->caches;
    if (groups.size() != plan.caches.size() ||
        !std::equal(groups.begin(), groups.end(), plan.caches.begin(), SameLayout))
      throw std::runtime_error("plan '" + plan.name + "' has other cache groups than plan '" +
                               plans_[0].plan->name + "'");
    return;
  }
  const bool measures = pool_.memory_share > 0;
  backend_->AllocateCache(plan.caches, measures ? WarmUpStep::kBlocks : pool_.device_blocks);
}

// Runs the largest steps in a cache of next to nothing. What is free then, the cache may have.
void Executor::SizeCache(const LoadedPlan& loaded) {
  const Plan& plan = *loaded.plan;
  for (const WarmUpStep& step : LargestSteps(plan, pool_.block_size)) {
    StepResult result = EmptyResult(step.view().samples);
    RunOps(loaded, step.view(), nullptr, &result);
    backend_->Finish(&result);
  }
  backend_->Wait();
  const size_t block_bytes = BlockBytes(plan.caches, pool_.block_size);
  pool_.device_blocks = BlocksThatFit(backend_->MemoryNow(), pool_, block_bytes);
  backend_->AllocateCache(plan.caches, pool_.device_blocks);
}

bool Executor::TakeWeights(const Plan& plan, const WeightFile& file,
                           const std::function<void()>& check, Loaded* loaded) {
  if (file.path.empty()) return false;
  try {
    return backend_->TakeWeights(plan, file, check);
  } catch (const Cancelled&) {
    throw;
  } catch (const std::runtime_error& error) {
    loaded->notices.push_back("packed weights " + file.path + ": " + error.what() +
                              "; weights are packed anew");
    return false;
  }
}

void Executor::KeepWeights(const Plan& plan, const WeightFile& file,
                           const std::function<void()>& check, Loaded* loaded) {
  if (file.path.empty()) return;
  try {
    backend_->KeepWeights(plan, file, check);
  } catch (const Cancelled&) {
    throw;
  } catch (const std::runtime_error& error) {
    loaded->notices.push_back("packed weights " + file.path + ": " + error.what() +
                              "; the next load packs them again");
  }
}

void Executor::LoadWeights(const Plan& plan, TensorSource* tensors, const Progress& progress,
                           uint64_t total) {
  // Sources of so many bytes, about, are in memory at once.
  constexpr uint64_t kBatchBytes = uint64_t{16} << 20;
  uint64_t loaded = 0, batch = 0;
  CopiedRows sums;
  for (size_t id = 0; id < plan.weights.size(); ++id) {
    const Weight& weight = plan.weights[id];
    try {
      std::vector<TensorView> sources;
      for (const WeightSource& source : weight.sources)
        sources.push_back(tensors->Get(weight, source));
      if (weight.offset != 0) AddOffset(weight.offset, &sources, &sums);
      backend_->LoadWeight(plan, static_cast<int>(id), sources);
      batch += weight.Bytes();
      if (batch < kBatchBytes && id + 1 < plan.weights.size()) continue;
      progress(loaded, total);
      backend_->FinishWeights();
    } catch (const std::bad_alloc&) {
      throw std::runtime_error("out of memory while loading tensor '" + weight.sources[0].name +
                               "'");
    }
    tensors->Release();
    sums.clear();
    loaded += batch;
    batch = 0;
  }
}

void Executor::DropAdapter(int slot) { backend_->LoadAdapter(slot, {}, {}); }

void Executor::LoadAdapter(int slot, const Adapter& adapter, TensorSource* tensors) {
  adapter.CheckFor(*plans_.at(0).plan);
  std::vector<std::vector<TensorView>> sources;
  for (const Weight& weight : adapter.weights) {
    sources.emplace_back();
    for (const WeightSource& source : weight.sources)
      sources.back().push_back(tensors->Get(weight, source));
  }
  backend_->LoadAdapter(slot, adapter, sources);
  tensors->Release();
}

void Executor::Submit(Step* step, Probe* probe) {
  StepView& view = step->view;
  view.shared_masks = masks_.masks();
  const LoadedPlan& loaded = plans_.at(static_cast<size_t>(view.plan));
  if (Depth() == 1) FillSampledIds(step);
  Flight flight;
  flight.step_id = view.step_id;
  flight.computes = view.tokens > 0;
  flight.begin = std::chrono::steady_clock::now();
  flight.result = EmptyResult(view.samples);
  backend_->CopyBlocks(view.copies_before, view.copies_before_count);
  if (flight.computes) RunOps(loaded, view, probe, &flight.result);
  backend_->CopyBlocks(view.copies_after, view.copies_after_count);
  if (Depth() == 1) last_ids_ = flight.result.ids;
  flights_.push_back(std::move(flight));
}

Executor::Finished Executor::Finish() {
  Flight& flight = flights_.front();
  if (flight.computes) backend_->Finish(&flight.result);
  const auto end = std::chrono::steady_clock::now();
  // A step that was submitted ahead begins when the one before ends.
  const auto begin = std::max(flight.begin, last_end_);
  last_end_ = end;
  flight.result.seconds = std::chrono::duration<double>(end - begin).count();
  Finished finished{flight.step_id, std::move(flight.result)};
  flights_.pop_front();
  return finished;
}

void Executor::RunOps(const LoadedPlan& loaded, const StepView& view, Probe* probe,
                      StepResult* result) {
  const Plan& plan = *loaded.plan;
  backend_->BeginStep(plan, view);
  for (size_t i = 0; i < loaded.ops.size(); ++i) {
    CheckCancelled();
    const Op& op = plan.ops[i];
    if (op.kind == "sample") masks_.Await(view, [this] { CheckCancelled(); });
    try {
      if (!probe || !WriteGiven(plan, op.out, view, *probe)) loaded.ops[i]->Run(view, result);
    } catch (const std::bad_alloc&) {
      throw std::runtime_error(op.kind + " \"" + op.label + "\": out of memory");
    } catch (const std::exception& error) {
      throw std::runtime_error(op.kind + " \"" + op.label + "\": " + error.what());
    }
    if (!probe) continue;
    for (auto& [id, rows] : probe->read) {
      if (!Writes(op, id)) continue;
      const Value& value = plan.values[id];
      rows.resize(static_cast<size_t>(RowsOf(value, view)) * value.cols);
      backend_->ReadValue(value, RowsOf(value, view), rows.data());
    }
  }
}

// Writes the value if the probe gives it. Only now: until here others may have used its bytes.
bool Executor::WriteGiven(const Plan& plan, int id, const StepView& view, const Probe& probe) {
  const auto given = probe.given.find(id);
  if (given == probe.given.end()) return false;
  const Value& value = plan.values[id];
  const std::vector<float>& rows = given->second;
  const size_t wanted = static_cast<size_t>(RowsOf(value, view)) * value.cols;
  if (rows.size() != wanted)
    throw std::runtime_error("expected " + std::to_string(wanted) +
                             " numbers for its value, found " + std::to_string(rows.size()));
  backend_->WriteValue(value, RowsOf(value, view), rows.data());
  return true;
}

// Replaces id −1−r by what row r of the last step sampled.
void Executor::FillSampledIds(Step* step) const {
  int32_t* ids = step->ints.data() + kHeaderInts;
  for (int t = 0; t < step->view.tokens; ++t)
    if (ids[t] < 0) ids[t] = last_ids_.at(static_cast<size_t>(-1 - ids[t]));
}

void Executor::Copy(const std::vector<BlockCopy>& copies) {
  backend_->CopyBlocks(copies.data(), static_cast<int>(copies.size()));
  backend_->Wait();
}

void Executor::CheckCancelled() const {
  if (cancelled_->load(std::memory_order_relaxed)) throw Cancelled();
}

}  // namespace octavo
