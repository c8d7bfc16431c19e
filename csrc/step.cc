// Parses and checks the packed arrays of a step, and packs its result.
#include "step.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "plan.h"

namespace octavo {
namespace {

// Fails with a message about one entry of a section: "step: samples[3]: token row 9 of 8".
[[noreturn]] void Fail(const char* section, int index, const std::string& problem) {
  throw std::runtime_error(std::string("step: ") + section + "[" + std::to_string(index) +
                           "]: " + problem);
}

void CheckBelow(const char* section, int index, const char* what, int64_t value, int64_t least,
                int64_t end) {
  if (value >= least && value < end) return;
  Fail(section, index,
       std::string(what) + " " + std::to_string(value) + " is not in " + std::to_string(least) +
           " … " + std::to_string(end - 1));
}

// Hands out the sections of an array one after the other. Lengths are checked in 64 bits.
template <typename Element>
class Sections {
 public:
  Sections(const char* array, const Element* data, size_t count)
      : array_(array), data_(data), count_(count) {}

  const Element* Take(const char* section, int64_t length) {
    if (static_cast<uint64_t>(length) > count_ - used_)
      throw std::runtime_error(
          std::string("step: ") + section + " needs " + std::to_string(length) + " " + array_ +
          ", " + std::to_string(count_ - used_) + " are left of " + std::to_string(count_));
    const Element* start = data_ + used_;
    used_ += static_cast<size_t>(length);
    return start;
  }

  void ExpectEnd() const {
    if (used_ != count_)
      throw std::runtime_error("step: the sections fill " + std::to_string(used_) + " of " +
                               std::to_string(count_) + " " + array_);
  }

 private:
  const char* array_;
  const Element* data_;
  size_t count_, used_ = 0;
};

// Sections of several ints an entry are read as structs of int32_t, which have their layout.
template <typename Struct>
const Struct* TakeStructs(Sections<int32_t>* ints, const char* section, int count) {
  constexpr int64_t kInts = sizeof(Struct) / sizeof(int32_t);
  return reinterpret_cast<const Struct*>(ints->Take(section, count * kInts));
}

void CheckSequences(const StepView& step) {
  int64_t next = 0;
  for (int s = 0; s < step.sequences; ++s) {
    const SequenceRow& sequence = step.sequence_rows[s];
    if (sequence.first_row != next)
      Fail("sequences", s,
           "first row " + std::to_string(sequence.first_row) + ", the sequence before ends at " +
               std::to_string(next));
    CheckBelow("sequences", s, "row count", sequence.row_count, 1, step.tokens - next + 1);
    if (sequence.context_length < sequence.row_count)
      Fail("sequences", s,
           "context length " + std::to_string(sequence.context_length) + " of " +
               std::to_string(sequence.row_count) + " rows");
    if (sequence.length < sequence.context_length)
      Fail("sequences", s,
           "length " + std::to_string(sequence.length) + " of a context of " +
               std::to_string(sequence.context_length));
    CheckBelow("sequences", s, "adapter", sequence.adapter, -1, kMostAdapters);
    next += sequence.row_count;
    for (int64_t row = sequence.first_row; row < next; ++row)
      CheckBelow("positions", static_cast<int>(row), "position", step.positions[row], 0,
                 sequence.context_length);
  }
  if (next != step.tokens)
    throw std::runtime_error("step: sequences cover " + std::to_string(next) + " of " +
                             std::to_string(step.tokens) + " token rows");
}

void CheckTableStarts(const StepView& step) {
  const int count = step.groups * step.sequences;
  for (int i = 0; i <= count; ++i)
    CheckBelow("tableStarts", i, "start", step.table_starts[i],
               i == 0 ? 0 : step.table_starts[i - 1], int64_t{step.table_length} + 1);
  if (step.table_starts[0] != 0) Fail("tableStarts", 0, "the first start is not 0");
  if (step.table_starts[count] != step.table_length)
    Fail("tableStarts", count, "the last start is not the length of the tables");
}

void CheckSamples(const StepView& step) {
  for (int r = 0; r < step.samples; ++r) {
    const SampleInts& sample = step.sample_ints[r];
    CheckBelow("samples", r, "token row", sample.token_row, 0, step.tokens);
    CheckBelow("samples", r, "topK", sample.top_k, 0, int64_t{INT32_MAX} + 1);
    CheckBelow("samples", r, "logprobs", sample.logprobs, -1, int64_t{INT32_MAX} + 1);
    CheckBelow("samples", r, "target", sample.target, -1, int64_t{INT32_MAX} + 1);
    CheckBelow("samples", r, "penalty count", sample.penalty_count, 0,
               int64_t{step.penalties_count} + 1);
    CheckBelow("samples", r, "penalty start", sample.penalty_start, 0,
               int64_t{step.penalties_count} - sample.penalty_count + 1);
    CheckBelow("samples", r, "bias count", sample.bias_count, 0, int64_t{step.biases_count} + 1);
    CheckBelow("samples", r, "bias start", sample.bias_start, 0,
               int64_t{step.biases_count} - sample.bias_count + 1);
    CheckBelow("samples", r, "mask", sample.mask, -1, step.mask_count);
  }
}

void CheckPools(const StepView& step) {
  for (int p = 0; p < step.pools; ++p) {
    const PoolRow& pool = step.pool_rows[p];
    CheckBelow("pools", p, "first row", pool.first_row, 0, step.tokens);
    CheckBelow("pools", p, "row count", pool.row_count, 1, step.tokens - pool.first_row + 1);
  }
}

void CheckCarried(const StepView& step, int columns) {
  if (step.pools > 0 && columns == 0)
    throw std::runtime_error("step: rows to pool, and the plan has no such op");
  for (int p = 0; p < step.pools; ++p)
    CheckBelow("pools", p, "start of the sum", step.pool_rows[p].carried, -1,
               std::max(0, step.carried_length - columns + 1));
}

void CheckLimit(const char* what, int64_t found, int64_t limit) {
  if (found <= limit) return;
  throw std::runtime_error("step: " + std::to_string(found) + " " + what +
                           ", the plan is recorded for " + std::to_string(limit));
}

void CheckTables(const StepView& step, const std::vector<CacheGroup>& caches,
                 const PoolShape& pool) {
  for (int i = 0; i < step.table_length; ++i)
    CheckBelow("tables", i, "block", step.tables[i], 0, pool.device_blocks);
  for (int group = 0; group < step.groups; ++group) {
    for (int s = 0; s < step.sequences; ++s) {
      const int table = group * step.sequences + s;
      const int64_t blocks = step.table_starts[table + 1] - step.table_starts[table];
      if (caches[static_cast<size_t>(group)].IsState()) {
        if (blocks != 1)
          Fail("sequences", s, std::to_string(blocks) + " blocks for the state of a sequence");
        continue;
      }
      if (blocks * pool.block_size < step.sequence_rows[s].context_length)
        Fail("sequences", s,
             std::to_string(blocks) + " blocks of " + std::to_string(pool.block_size) +
                 " tokens in group " + std::to_string(group) + " for a context of " +
                 std::to_string(step.sequence_rows[s].context_length));
    }
  }
}

void CheckTokenIds(const StepView& step, int vocab_size, int previous_samples) {
  for (int t = 0; t < step.tokens; ++t)
    CheckBelow("ids", t, "token id", step.ids[t], -int64_t{previous_samples},
               int64_t{vocab_size} + step.embedding_count);
  for (int r = 0; r < step.samples; ++r)
    CheckBelow("samples", r, "target", step.sample_ints[r].target, -1, vocab_size);
  for (int i = 0; i < step.penalties_count; ++i)
    CheckBelow("penalties", i, "token id", step.penalties[i].token, 0, vocab_size);
  for (int i = 0; i < step.biases_count; ++i)
    CheckBelow("biasIds", i, "token id", step.bias_ids[i], 0, vocab_size);
}

}  // namespace

StepView StepView::Parse(const int32_t* ints, size_t int_count, const float* floats,
                         size_t float_count) {
  Sections<int32_t> int_sections("ints", ints, int_count);
  Sections<float> float_sections("floats", floats, float_count);
  const int32_t* header = int_sections.Take("header", kHeaderInts);
  if (header[0] != kStepFormatVersion)
    throw std::runtime_error("step: format version " + std::to_string(header[0]) +
                             ", this addon reads " + std::to_string(kStepFormatVersion));
  for (int i = 2; i < kHeaderInts; ++i) CheckBelow("header", i, "entry", header[i], 0, 1 << 28);
  StepView step;
  step.step_id = header[1];
  step.plan = header[2];
  step.tokens = header[3];
  step.sequences = header[4];
  step.samples = header[5];
  step.groups = header[6];
  step.table_length = header[7];
  step.penalties_count = header[8];
  step.biases_count = header[9];
  step.mask_count = header[10];
  step.mask_words = header[11];
  step.copies_before_count = header[12];
  step.copies_after_count = header[13];
  step.mask_ticket = header[14];
  step.pools = header[15];
  step.carried_length = header[16];
  step.embedding_count = header[17];
  step.embedding_columns = header[18];

  step.ids = int_sections.Take("ids", step.tokens);
  step.positions = int_sections.Take("positions", step.tokens);
  step.sequence_rows = TakeStructs<SequenceRow>(&int_sections, "sequences", step.sequences);
  step.table_starts = int_sections.Take("tableStarts", int64_t{step.groups} * step.sequences + 1);
  step.tables = int_sections.Take("tables", step.table_length);
  step.sample_ints = TakeStructs<SampleInts>(&int_sections, "samples", step.samples);
  step.penalties = TakeStructs<Penalty>(&int_sections, "penalties", step.penalties_count);
  step.bias_ids = int_sections.Take("biasIds", step.biases_count);
  step.masks = reinterpret_cast<const uint32_t*>(
      int_sections.Take("masks", int64_t{step.mask_count} * step.mask_words));
  step.copies_before =
      TakeStructs<BlockCopy>(&int_sections, "copiesBefore", step.copies_before_count);
  step.copies_after = TakeStructs<BlockCopy>(&int_sections, "copiesAfter", step.copies_after_count);
  step.pool_rows = TakeStructs<PoolRow>(&int_sections, "pools", step.pools);
  int_sections.ExpectEnd();

  step.sample_floats = reinterpret_cast<const SampleFloats*>(
      float_sections.Take("samples", int64_t{step.samples} * kSampleFloats));
  step.bias_values = float_sections.Take("biasValues", step.biases_count);
  step.carried = float_sections.Take("carried", step.carried_length);
  step.embeddings =
      float_sections.Take("embeddings", int64_t{step.embedding_count} * step.embedding_columns);
  float_sections.ExpectEnd();

  CheckSequences(step);
  CheckTableStarts(step);
  CheckSamples(step);
  CheckPools(step);
  return step;
}

void StepView::CheckFor(const Plan& plan, const PoolShape& pool, int previous_samples) const {
  CheckLimit("token rows", tokens, plan.max_tokens);
  CheckLimit("sequences", sequences, plan.max_sequences);
  CheckLimit("sample rows", samples, plan.max_samples);
  CheckLimit("pools", pools, plan.max_sequences);
  CheckCarried(*this, plan.PooledColumns());
  if (static_cast<size_t>(groups) != plan.caches.size())
    throw std::runtime_error("step: " + std::to_string(groups) + " cache groups, the plan has " +
                             std::to_string(plan.caches.size()));
  if (mask_count > 0 && int64_t{mask_words} * 32 < plan.vocab_size)
    throw std::runtime_error("step: masks of " + std::to_string(mask_words) +
                             " words for a vocabulary of " + std::to_string(plan.vocab_size));
  CheckTables(*this, plan.caches, pool);
  CheckTokenIds(*this, plan.vocab_size, previous_samples);
  CheckCopies(copies_before, copies_before_count, plan.caches.size(), pool);
  CheckCopies(copies_after, copies_after_count, plan.caches.size(), pool);
}

void StepView::CheckSharedMasks(int rows, int words) const {
  for (int r = 0; r < samples; ++r) {
    CheckBelow("samples", r, "shared mask", sample_ints[r].shared_mask, -1,
               words == mask_words ? rows : 0);
  }
}

void CheckCopies(const BlockCopy* copies, int count, size_t groups, const PoolShape& pool) {
  const auto blocks = [&pool](int tier) {
    return tier == 0 ? pool.device_blocks : pool.host_blocks;
  };
  for (int i = 0; i < count; ++i) {
    const BlockCopy& copy = copies[i];
    CheckBelow("copies", i, "group", copy.group, 0, static_cast<int64_t>(groups));
    CheckBelow("copies", i, "from tier", copy.from_tier, 0, 2);
    CheckBelow("copies", i, "to tier", copy.to_tier, 0, 2);
    CheckBelow("copies", i, "from block", copy.from, 0, blocks(copy.from_tier));
    const bool null_block = copy.to_tier == 0 && copy.to == 0;
    if (null_block) Fail("copies", i, "block 0 is the null block, which nothing writes");
    CheckBelow("copies", i, "to block", copy.to, 0, blocks(copy.to_tier));
  }
}

PackedResult Pack(int step_id, const StepResult& result) {
  const auto samples = static_cast<int32_t>(result.ids.size());
  const auto tops = static_cast<int32_t>(result.top_ids.size());
  PackedResult packed;
  auto& ints = packed.ints;
  ints.reserve(kResultInts + 3 * result.ids.size() + 1 + result.top_ids.size());
  ints = {kStepFormatVersion, step_id, samples, tops, static_cast<int32_t>(result.pooled.size())};
  for (const auto* part : {&result.ids, &result.ranks, &result.top_starts, &result.top_ids})
    ints.insert(ints.end(), part->begin(), part->end());
  auto& floats = packed.floats;
  floats.reserve(1 + result.logprobs.size() + result.top_logprobs.size() + result.pooled.size());
  floats.push_back(static_cast<float>(result.seconds));
  for (const auto* part : {&result.logprobs, &result.top_logprobs, &result.pooled})
    floats.insert(floats.end(), part->begin(), part->end());
  return packed;
}

}  // namespace octavo
