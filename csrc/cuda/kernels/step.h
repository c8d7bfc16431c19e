// A step as kernels see it. It lies at a fixed address of device memory, with everything it points
// to, so that a captured graph serves every step: kernels take this address and ask it for the
// rest.
#pragma once

#include <cstdint>

#include "../../adapter_runs.h"
#include "../../step.h"

#ifdef __CUDACC__
#define OCTAVO_EVERYWHERE __host__ __device__
#else
#define OCTAVO_EVERYWHERE
#endif

namespace octavo::cuda {

// Neighbouring token rows of one sequence; row i attends to the first `first_limit + i` tokens.
struct AttentionTile {
  int32_t sequence, first_row, rows, first_limit;
};

// Where a row's numbers may depend on nothing but its sequence (batchInvariant), its context is cut
// by its own length: into spans, which are computed on their own and added in order, by whoever.
constexpr int kLeastSpan = 512, kMostSpans = 16;

// The tokens of a span, for a row that attends to `limit` tokens: whole tiles of keys.
OCTAVO_EVERYWHERE inline int SpanOf(int limit) {
  int span = kLeastSpan;
  while (span * kMostSpans < limit) span *= 2;
  return span;
}

// Rows that adapters change, at most kAdaptedRows a run.
constexpr int kAdaptedRows = 16;
struct AdaptedRows {
  const AdapterRun* runs;
  int32_t count;
};

struct DeviceStep {
  int32_t tokens, sequences, samples, tile_count;
  int32_t decode_count;
  int32_t mask_words, embedding_columns;
  const int32_t* ids;                // [T] negatives: −1−r, sample r of the step before
  const int32_t* positions;          // [T]
  const int32_t* sequence_of_row;    // [T]
  const SequenceRow* sequence_rows;  // [S]
  const int32_t* table_starts;       // [G*S + 1]
  const int32_t* tables;
  const AttentionTile* tiles;         // of sequences with several rows
  const AttentionTile* decodes;       // of sequences with one
  const SampleInts* sample_ints;      // [R]
  const SampleFloats* sample_floats;  // [R]
  const Penalty* penalties;
  const int32_t* bias_ids;
  const float* bias_values;
  const uint32_t* masks;
  const int32_t* top_starts;  // [R + 1]
  AdaptedRows adapted_tokens, adapted_samples;
  const PoolRow* pool_rows;
  const float* carried;
  const float* embeddings;  // [rows, embedding_columns]
};

}  // namespace octavo::cuda
