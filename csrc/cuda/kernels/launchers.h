// The kernels' launchers, for the backend. They take device pointers, sizes and a stream; they
// never allocate or wait. Each throws std::runtime_error where a launch fails or a type is not
// supported.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../../activation.h"
#include "../../cache_type.h"
#include "../../tensor.h"
#include "divisor.h"
#include "step.h"
#include "stream.h"

namespace octavo::cuda {

// Values are rows of activations of one type; `type` below is that type unless it says otherwise.

// A matrix of codes, rows × cols. A row begins at a multiple of 16 bytes and has zeros up to a
// multiple of 32 codes; two codes of 4 bits share a byte, the lower one first.
struct CodesView {
  const uint8_t* codes;
  const void*
      scales;  // [rows, groups, 2] each a scale and a minimum: float16 if `half`, or float32
  const float* levels;  // [16] what a code of 4 bits stands for; null: itself
  int bits;             // 8 or 4; 0: the matrix is none of codes
  int row_bytes, groups;
  Divisor group;  // columns
  bool half;
  const int32_t*
      order;  // [cols] the input's column that each column of codes is for; null: its own
};

struct EmbedArgs {
  const DeviceStep* step;
  const int32_t* last_ids;  // what the step before sampled
  Type type;                // of table and out
  const void* table;        // [vocabulary, cols]
  CodesView codes;          // in place of `table`
  int vocabulary;           // ids from here on are rows of the step's embeddings
  float scale;
  bool by_position;  // rows of the table are positions plus position_offset, not token ids
  int position_offset;
  void* out;  // [rows, cols]
  int rows, cols;
};
void Embed(const EmbedArgs& args, Stream stream);
void EmbedCodes(const EmbedArgs& args, Stream stream);

struct NormArgs {
  Type type;
  const void* input;    // [rows, cols]
  void* residual;       // [rows, cols] null: none; else input is added to it first
  const float* weight;  // [cols] null: ones
  const float* bias;    // [cols] null: zeros
  void* out;            // [rows, cols]
  int rows, cols;
  float eps;
  bool layer;  // subtract the mean
};
void Norm(const NormArgs& args, Stream stream);

struct ActivationArgs {
  Type type;
  Activation activation;
  bool gated;               // input is [gate | up]
  const float* parameters;  // [4] of xielu
  const void* input;        // [rows, cols], twice as wide if gated
  void* out;                // [rows, cols]
  int rows, cols;
};
void Activate(const ActivationArgs& args, Stream stream);

// out = input × factor, and with a cap: cap × tanh(input × factor / cap); or out = input + other.
struct CombineArgs {
  Type type;
  const void* input;  // [count]
  const void* other;  // [count] null: none
  void* out;          // [count]
  int64_t count;
  float factor, cap;  // cap 0: none
};
void Combine(const CombineArgs& args, Stream stream);

struct GatherArgs {
  const DeviceStep* step;
  Type type;
  const void* input;  // [T, cols]
  void* out;          // [rows, cols]
  int rows, cols;
};
void Gather(const GatherArgs& args, Stream stream);

struct LinearArgs {
  Type type, out_type;  // out_type: type, or float32 (logits)
  const void* input;    // [rows, k]
  const void* weight;   // [n, k]
  CodesView codes;      // in place of `weight`; the input is in the order of its columns
  const float* bias;    // [n] null: none
  void* out;            // [rows, n]
  int rows, n, k;
  bool one_path;  // by the kernel for many rows, however few they are
};
void Linear(const LinearArgs& args, Stream stream);
void LinearOfCodes(const LinearArgs& args, Stream stream);

// What an adapter adds to columns [first, first + rows) of a product; no other part of it adds to
// any of them.
struct AdaptedPart {
  int32_t first, rows;
  int32_t rank;    // a multiple of kRankStep, zeros at its end; 0: there is no such part
  int32_t shrunk;  // the first of its columns among those of input × aᵀ
  int64_t b;       // its matrix [rows, rank], elements into the slot's
  float scale;
};
constexpr int kRankStep = 16;

// out += scale × (input × aᵀ) × bᵀ, of the rows that have an adapter.
struct AdaptArgs {
  const DeviceStep* step;
  Type type, out_type;  // of input, a and b; out_type: type, or float32 (logits)
  const void* input;    // [rows, k]
  void* out;            // [rows, n]
  // Of all slots, each of which has its own at an address of its own.
  const AdaptedPart* table;  // [slots, parts] the parts of an adapter come first
  const void* a;             // [slots, parts · rank, k] of all its parts, one behind the other
  const void* b;             // [slots, n · rank]
  float* shrunk;             // AdaptScratch(rows) bytes
  int rows, k, n;
  int parts, rank;  // the most that an adapter has, and the largest of a part
  int runs;         // of the launch: of the step's, or more
  bool samples;     // rows are the step's samples, else its tokens
};
void Adapt(const AdaptArgs& args, Stream stream);
size_t AdaptScratch(const AdaptArgs& args);

struct RouteArgs {
  const float* input;  // [rows, experts]
  const float* bias;   // [experts] counts where experts are compared; null: none
  float* out;          // [rows, 2 · top_k] the chosen experts, then their weights
  int rows, experts, top_k, groups, top_groups;
  bool softmax, renormalise, best_two;  // softmax: else sigmoid; best_two: what a group counts
  float scale;
};
void Route(const RouteArgs& args, Stream stream);

// Slot row × top_k + j is the row's j-th expert, or, where there are no routes, matrix j.
struct ExpertLinearArgs {
  Type type;
  const void* input;           // [rows, input_cols]
  const float* routes;         // [rows, 2 · top_k] null: each row passes all matrices
  const void* const* weights;  // [experts] of [n, k]
  const CodesView* codes;      // [experts] in their place; null: none
  const float* const* biases;  // [experts] of [n] null: none
  void* out;                   // [rows, top_k, n]
  int rows, experts, n, k, input_cols;
  Divisor top_k;
  bool split;        // slot j reads part j of its row, else all read the whole row
  bool one_path;     // by the kernel for many slots, however few they are
  int32_t* scratch;  // ExpertScratch bytes
};
// Inputs are in the order of the codes' columns.
void ExpertLinear(const ExpertLinearArgs& args, Stream stream);
size_t ExpertScratch(const ExpertLinearArgs& args);
// out [rows, top_k, k]: each slot's input in the order of the columns of its matrix, one of
// `views`.
void ReorderInputs(const ExpertLinearArgs& args, const CodesView* views, void* out, Stream stream);

// out = Σ weight of j × part j of input + σ(gate) × shared.
struct CombineExpertsArgs {
  Type type;
  const void* input;    // [rows, top_k, cols]
  const float* routes;  // [rows, 2 · top_k]
  const void* shared;   // [rows, cols] null: none
  const void* gate;     // [rows] null: the shared part counts fully
  void* out;            // [rows, cols]
  int rows, top_k, cols;
};
void CombineExperts(const CombineExpertsArgs& args, Stream stream);

struct AnglesArgs {
  const DeviceStep* step;
  const float* inv_freq;  // [half]
  int rows, half;
  float scale;
  bool dynamic;
  double base, factor, original;
  const float* long_inv_freq;  // [half] of sequences of more than `long_from` tokens; null: none
  int long_from;
  float *cosines, *sines;  // [rows, half]
};
void RotaryAngles(const AnglesArgs& args, Stream stream);

// One layer of a cache group. A block holds, of each layer, its keys [kv heads][block size][key
// dim] and then its values [kv heads][block size][value dim]: a token's row is contiguous, and so
// is a block of all layers. Behind them an int8 cache has the float32 scales of the keys [kv
// heads][block size] and of the values.
struct CacheView {
  uint8_t* data;       // this layer's part of block 0
  size_t block_bytes;  // from a block to the next
  CacheType type;
  int group, kv_heads, key_dim, value_dim;
  Divisor block_size;  // tokens
  bool latent;         // values are the first value_dim columns of the keys, stored once
};

// How each head of queries and keys is normalised.
struct HeadNorm {
  bool used, layer, after_rope;  // layer: subtract the mean
  // Of all heads together, before the rope: [rows, 4] scratch, each row's mean and factor of q, and
  // of k.
  float* whole;
  float eps;
  const float *q_weight, *k_weight, *q_bias, *k_bias;  // null: ones, zeros
  int q_weight_step, k_weight_step;  // from a head's gains to the next one's; 0: all share them
  int q_bias_step, k_bias_step;
};

struct RopeStoreArgs {
  const DeviceStep* step;
  Type type;
  const void* input;             // [rows, (heads + 2 · kv heads) · head dim]
  const float *cosines, *sines;  // [rows, rope_dim / 2]
  int rope_dim;                  // 0: no rotation
  bool interleaved;              // pairs (2i, 2i + 1) instead of (i, i + rope_dim / 2)
  float clip;                    // limits q, k and v to [−clip, clip]; 0: does not
  float beta;                    // q of position p is multiplied by 1 + beta·ln(1 + ⌊p / span⌋)
  int span;
  HeadNorm norm;
  int heads, rows;
  CacheView cache;
  void* out;  // [rows, heads · head dim]
};
void RopeStoreKv(const RopeStoreArgs& args, Stream stream);

struct AttentionArgs {
  const DeviceStep* step;
  Type type;
  const void* input;  // [T, heads · key dim]
  void* out;          // [T, heads · value dim]
  int heads;
  float scale;
  float softcap;        // 0: none
  int window;           // tokens that a row sees, its own included; 0: all
  const float* slopes;  // [heads] of ALiBi; null: none
  const float* sinks;   // [heads] further scores, which only weigh others down; null: none
  CacheView cache;
  int rows;       // token rows of the launch, those of padding included
  int tiles;      // of step->tiles, likewise
  int decodes;    // of step->decodes, likewise
  int splits;     // parts that the context of each decoding row is cut into, at most
  bool by_spans;  // where it is cut, and that of tiles too: SpanOf, else into equal parts
  // [decodes or, without tiles, rows][heads][splits][2 + value dim]; by spans for tiles
  // [tiles][AttentionTileFloats], one after the other.
  float* partials;
};
void PagedAttention(const AttentionArgs& args, Stream stream);
// Whether PagedAttention works by tiles and decodes; else one kernel serves all rows.
bool HasTensorAttention(const AttentionArgs& args);
size_t AttentionTileFloats(const AttentionArgs& args);
// Token rows of a tile.
int AttentionTileRows(const AttentionArgs& args);

struct StoreLatentArgs {
  const DeviceStep* step;
  Type type;
  const void* input;             // [rows, heads · value dim]
  const void* positions;         // [rows, position_cols] whose last heads · turned are rotated
  const void* latent;            // [rows, key dim]
  const float *cosines, *sines;  // [rows, turned / 2]
  const float* weight;           // [value dim]
  CacheView cache;
  void* out;  // [rows, heads · key dim]
  int rows, heads, position_cols;
  int turned;  // columns of a head that the rope turns: key dim − value dim
  bool interleaved;
  float eps;
};
void StoreLatent(const StoreLatentArgs& args, Stream stream);
// Attention over a latent cache; PagedAttention calls it, and folds what it leaves of parts.
void LatentAttention(const AttentionArgs& args, Stream stream);
bool FitsLatentAttention(const CacheView& cache);
// Heads that a block takes together.
int LatentHeads(const AttentionArgs& args);

struct ShortConvArgs {
  const DeviceStep* step;
  Type type;
  const void* input;    // [rows, 3 · cols]
  const float* weight;  // [cols, width]
  const float* bias;    // [cols] null: zeros
  CacheView cache;      // a block has the sequence's state of a layer: [width − 1, cols] of float32
  void* out;            // [rows, cols]
  int rows, sequences, cols, width;
};
void ShortConv(const ShortConvArgs& args, Stream stream);

struct PoolArgs {
  const DeviceStep* step;
  Type type;
  const void* input;  // [T, cols]
  float* out;         // [pools, cols]
  int pools, cols;
};
void Pool(const PoolArgs& args, Stream stream);

// Leaves the stream's mark and does nothing else: for what another library submits next.
void LeaveMark(Stream stream);

struct BlockMove {
  const uint8_t* from;
  uint8_t* to;
};
// All moves at once; they may not overlap. `moves` is in device memory, bytes a multiple of 16.
void CopyBlocks(const BlockMove* moves, int count, size_t bytes, Stream stream);

struct SampleArgs {
  const DeviceStep* step;
  const float* logits;           // [rows, vocabulary]
  float* processed;              // [rows, vocabulary] scratch
  const uint32_t* shared_masks;  // [rows, step->mask_words], of rows that have one
  int rows, vocab;
  int32_t *ids, *ranks, *top_ids;
  float *logprobs, *top_logprobs;
};
void Sample(const SampleArgs& args, Stream stream);

}  // namespace octavo::cuda
