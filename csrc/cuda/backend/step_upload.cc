#include "step_upload.h"

#include <algorithm>
#include <cstring>

namespace octavo::cuda {
namespace {

constexpr size_t kAlignment = 16;
constexpr size_t kLeastBytes = size_t{256} << 10;

size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

bool StepUpload::Send(const StepView& step, const Tiling& tiling, int vocab, Stream stream) {
  CutTiles(step, tiling);
  FindRows(step);
  FindAdapted(step);
  top_starts_.assign(1, 0);
  for (int r = 0; r < step.samples; ++r)
    top_starts_.push_back(top_starts_.back() + std::clamp(step.sample_ints[r].logprobs, 0, vocab));

  used_ = 0;
  Fill(step, nullptr, nullptr);        // only counts
  if (sent_) WaitOnHost(sent_.get());  // the copy before has left the staging memory
  const bool moved = used_ > capacity_;
  if (moved) {
    Wait(stream);  // a step under way reads what is freed
    capacity_ = std::max(kLeastBytes, used_ * 2);
    device_ = AllocateDevice(capacity_);
    staging_ = AllocatePinned(capacity_);
    if (!sent_) sent_ = CreateEvent();
  }
  used_ = 0;
  Fill(step, static_cast<uint8_t*>(staging_.get()), static_cast<uint8_t*>(device_.get()));
  CopyToDevice(device_.get(), staging_.get(), used_, stream);
  Record(sent_.get(), stream);
  return moved;
}

// Writes the step to `staging`, with the addresses that it will have from `device` on.
void StepUpload::Fill(const StepView& step, uint8_t* staging, uint8_t* device) {
  const auto add = [&](auto*& member, const auto* from, int count) {
    using Element = std::remove_const_t<std::remove_reference_t<decltype(*from)>>;
    const size_t bytes = sizeof(Element) * static_cast<size_t>(count);
    if (staging != nullptr && bytes > 0) std::memcpy(staging + used_, from, bytes);
    if (staging != nullptr) member = reinterpret_cast<const Element*>(device + used_);
    used_ += Aligned(bytes);
  };
  const auto size = [](const auto& list) { return static_cast<int>(list.size()); };
  used_ = Aligned(sizeof(DeviceStep));
  header_ = {};
  header_.tokens = step.tokens;
  header_.sequences = step.sequences;
  header_.samples = step.samples;
  header_.tile_count = size(tiles_);
  header_.decode_count = size(decodes_);
  header_.adapted_tokens.count = size(adapted_tokens_);
  header_.adapted_samples.count = size(adapted_samples_);
  header_.mask_words = step.mask_words;
  header_.embedding_columns = step.embedding_columns;
  add(header_.ids, step.ids, step.tokens);
  add(header_.positions, step.positions, step.tokens);
  add(header_.sequence_of_row, sequence_of_row_.data(), size(sequence_of_row_));
  add(header_.sequence_rows, step.sequence_rows, step.sequences);
  add(header_.table_starts, step.table_starts, step.groups * step.sequences + 1);
  add(header_.tables, step.tables, step.table_length);
  add(header_.tiles, tiles_.data(), size(tiles_));
  add(header_.decodes, decodes_.data(), size(decodes_));
  add(header_.sample_ints, step.sample_ints, step.samples);
  add(header_.sample_floats, step.sample_floats, step.samples);
  add(header_.penalties, step.penalties, step.penalties_count);
  add(header_.bias_ids, step.bias_ids, step.biases_count);
  add(header_.bias_values, step.bias_values, step.biases_count);
  add(header_.masks, step.masks, step.mask_count * step.mask_words);
  add(header_.top_starts, top_starts_.data(), size(top_starts_));
  add(header_.adapted_tokens.runs, adapted_tokens_.data(), size(adapted_tokens_));
  add(header_.adapted_samples.runs, adapted_samples_.data(), size(adapted_samples_));
  add(header_.pool_rows, step.pool_rows, step.pools);
  add(header_.carried, step.carried, step.carried_length);
  add(header_.embeddings, step.embeddings, step.embedding_count * step.embedding_columns);
  if (staging != nullptr) std::memcpy(staging, &header_, sizeof header_);
}

void StepUpload::CutTiles(const StepView& step, const Tiling& tiling) {
  tiles_.clear();
  decodes_.clear();
  longest_ = 0;
  for (int s = 0; s < step.sequences; ++s) {
    const SequenceRow& sequence = step.sequence_rows[s];
    const int before = sequence.context_length - sequence.row_count;
    const bool decodes = tiling.rows == 0 || sequence.row_count == 1;
    if (decodes) longest_ = std::max(longest_, sequence.context_length);
    for (int row = 0, rows = 0; row < sequence.row_count; row += rows) {
      const int limit = before + row + 1;
      rows = decodes ? 1 : std::min(tiling.rows, sequence.row_count - row);
      if (tiling.by_spans) rows = std::min(rows, SpanOf(limit) * kMostSpans - limit + 1);
      (decodes ? decodes_ : tiles_).push_back({s, sequence.first_row + row, rows, limit});
    }
  }
}

void StepUpload::FindRows(const StepView& step) {
  sequence_of_row_.assign(static_cast<size_t>(step.tokens), 0);
  for (int s = 0; s < step.sequences; ++s) {
    const SequenceRow& sequence = step.sequence_rows[s];
    std::fill_n(sequence_of_row_.begin() + sequence.first_row, sequence.row_count, s);
  }
}

void StepUpload::FindAdapted(const StepView& step) {
  const auto adapter_of = [&](int row) {
    return step.sequence_rows[sequence_of_row_[static_cast<size_t>(row)]].adapter;
  };
  adapted_tokens_ = AdapterRuns(step.tokens, adapter_of, kAdaptedRows);
  adapted_samples_ = AdapterRuns(
      step.samples, [&](int row) { return adapter_of(step.sample_ints[row].token_row); },
      kAdaptedRows);
}

}  // namespace octavo::cuda
