// The wire format of a step, twin of lib/native/step.ts, and its parsed view.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace octavo {

struct Plan;

constexpr int kStepFormatVersion = 5;
constexpr int kHeaderInts = 19;
constexpr int kSampleInts = 15;
constexpr int kSampleFloats = 6;
constexpr int kResultInts = 5;
constexpr int kSampleProcessed = 1;  // flag: log-probabilities after all processors

// `length`: tokens of the sequence that are known, those of steps to come included. `adapter`: a
// slot; −1: none.
struct SequenceRow {
  int32_t first_row, row_count, context_length, length, adapter;
};

// Slots of adapters that there may be.
constexpr int kMostAdapters = 1 << 16;

struct SampleInts {
  int32_t token_row, top_k, seed_low, seed_high, stream, counter, logprobs, target;
  int32_t penalty_start, penalty_count, bias_start, bias_count, mask, flags;
  int32_t shared_mask;
};
static_assert(sizeof(SampleInts) == kSampleInts * sizeof(int32_t), "SampleInts is the wire layout");

struct SampleFloats {
  float temperature, top_p, min_p, presence_penalty, frequency_penalty, repetition_penalty;
};
static_assert(sizeof(SampleFloats) == kSampleFloats * sizeof(float),
              "SampleFloats is the wire layout");

struct Penalty {
  int32_t token, output_count, in_prompt;
};

struct BlockCopy {
  int32_t group, from_tier, from, to_tier, to;
};

// Token rows to add up, on top of the sum that begins at `carried` of the numbers carried; −1:
// none.
struct PoolRow {
  int32_t first_row, row_count, carried;
};

// How many cache blocks there are; block 0 of the device tier is the null block.
struct PoolShape {
  int block_size = 0, device_blocks = 0, host_blocks = 0;
  // Not 0: device_blocks are the most that are of use. As many as fit are made once the first plan
  // is loaded, within this share of the device's memory.
  double memory_share = 0;
};

// Views into the two arrays of one step. The arrays outlive the view.
struct StepView {
  int step_id = 0, plan = 0, tokens = 0, sequences = 0, samples = 0, groups = 0;
  int table_length = 0, penalties_count = 0, biases_count = 0, mask_count = 0, mask_words = 0;
  int copies_before_count = 0, copies_after_count = 0;
  int mask_ticket = 0;  // of the step's shared masks
  int pools = 0, carried_length = 0;
  int embedding_count = 0, embedding_columns = 0;
  // [T] negatives already replaced by the executor; vocabulary size + e: row e of the embeddings
  const int32_t* ids = nullptr;
  const int32_t* positions = nullptr;          // [T]
  const SequenceRow* sequence_rows = nullptr;  // [S]
  const int32_t* table_starts = nullptr;       // [G*S + 1]
  const int32_t* tables = nullptr;
  const SampleInts* sample_ints = nullptr;      // [R]
  const SampleFloats* sample_floats = nullptr;  // [R]
  const Penalty* penalties = nullptr;
  const int32_t* bias_ids = nullptr;
  const float* bias_values = nullptr;
  const float* embeddings = nullptr;  // [embedding_count, embedding_columns]
  const uint32_t* masks = nullptr;
  const uint32_t* shared_masks = nullptr;  // rows of mask_words; set by the executor, once ready
  const BlockCopy* copies_before = nullptr;
  const BlockCopy* copies_after = nullptr;
  const PoolRow* pool_rows = nullptr;  // [P]
  const float* carried = nullptr;

  // The block table of a sequence in a cache group.
  const int32_t* Table(int group, int sequence) const {
    return tables + table_starts[group * sequences + sequence];
  }

  // Checks the version, that the sections fill the arrays exactly and that every index is in range
  // of its section; throws std::runtime_error naming the section.
  static StepView Parse(const int32_t* ints, size_t int_count, const float* floats,
                        size_t float_count);

  // Checks the step against the plan and the pool that it will run on: limits, token ids, blocks.
  // `previous_samples`: sample rows of the step before, which negative ids name.
  void CheckFor(const Plan& plan, const PoolShape& pool, int previous_samples) const;

  // Throws std::runtime_error naming the row that names none of so many shared masks of so many
  // words.
  void CheckSharedMasks(int rows, int words) const;
};

// Throws std::runtime_error naming the copy if one is outside of the pool or writes the null block.
void CheckCopies(const BlockCopy* copies, int count, size_t groups, const PoolShape& pool);

// Ranks of rows from which nothing can be drawn: all logits are NaN or −infinity, or the shared
// mask and the other rules leave no token.
constexpr int32_t kNoNumbers = -1;
constexpr int32_t kNothingAllowed = -2;

// What `sample` and `pool` write. Sized for a step before its ops run.
struct StepResult {
  double seconds = 0;
  std::vector<int32_t> ids, ranks;  // [R]
  std::vector<float> logprobs;      // [R]
  std::vector<int32_t> top_starts;  // [R + 1]
  std::vector<int32_t> top_ids;     // [topTotal]
  std::vector<float> top_logprobs;  // [topTotal]
  std::vector<float> pooled;        // [P × columns]
};

// The two arrays of a step's result, as lib/native/step.ts describes them.
struct PackedResult {
  std::vector<int32_t> ints;
  std::vector<float> floats;
};

PackedResult Pack(int step_id, const StepResult& result);

}  // namespace octavo
