// The kernels of one instruction set, as a table of functions. They take raw pointers and a share
// of the rows, never allocate, wait or know a plan. kernels/*.h hold their one source, compiled
// once an instruction set; docs/kernels.md explains layouts and the order of every sum.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "../activation.h"
#include "../cache_type.h"
#include "../tensor.h"
#include "half.h"

namespace octavo::cpu {

// A packed matrix is panels of this many output columns, `[panel][k][kPanel]`, the last zero
// padded; in bfloat16 `[panel][k / 2][kPanel][2]`.
constexpr int kPanel = 32;
// Inputs become codes so many columns of a row at a time.
constexpr int kCodesChunk = 32;
// Attention is computed in spans of this many tokens, aligned to the start of the sequence.
constexpr int kSpan = 256;
// Attention scores are computed for this many neighbouring tokens at a time.
constexpr int kTokenTile = 16;
// So many tiles are looked at together.
constexpr int kTileGroup = 4;
// About how many query vectors (rows × heads of one kv head) share a pass over a span.
constexpr int kMaxQueries = 48;
// Bytes that come from memory together.
constexpr int kCacheLine = 64;
// Value rows may be read up to this far beyond their end: pools have so many bytes of slack.
constexpr size_t kPoolSlack = 256;

static constexpr int RoundUp(int n, int to) { return (n + to - 1) / to * to; }

struct LinearArgs {
  static constexpr int kPair = 2;

  const void* input = nullptr;   // [rows, k] in float32, or what round_rows made of it
  const void* weight = nullptr;  // packed
  Type type = Type::kFloat32;
  bool rounded = false;         // the inputs; a matrix in bfloat16 only
  const float* bias = nullptr;  // [n] padded to whole panels, or null
  float* out = nullptr;         // [rows, n]
  int k = 0, n = 0;

  int InputStride() const { return rounded ? RoundUp(k, kPair) : k; }
};

// How a matrix of codes lies in memory: `[panel][group]{scales [kPanel], minimums [kPanel],
// codes}`, without minimums where it is symmetric. If a group is a whole row, the scales are
// float32 and group is what the inputs are quantised by. Codes: `[k / 2][kPanel][2]` signed words
// for 16 bits, `[k / 8][2][kPanel][4]` bytes for 8, `[k / 8][kPanel][4]` for 4, where a byte holds
// columns k and k + 4; the last step zero padded.
struct CodesLayout {
  int bits = 8;
  int cols = 0;
  int group = 32;  // columns that one sum of products covers: 16, 32, 64 or 128
  bool whole_row = false, symmetric = false, half = false;
  // Whether a code of 4 bits chooses one of 16 whole numbers of 14 bits, each kept as its lower and
  // its upper 7 bits, which fit the byte products of every processor.
  bool leveled = false;
  static constexpr int kLevels = 16, kLowBits = 7;
  uint8_t low[kLevels] = {}, high[kLevels] = {};

  void SetLevels(const uint16_t* whole) {
    leveled = true;
    for (int code = 0; code < kLevels; ++code) {
      low[code] = static_cast<uint8_t>(whole[code] & ((1 << kLowBits) - 1));
      high[code] = static_cast<uint8_t>(whole[code] >> kLowBits);
    }
  }
  int ValueOf(int code) const { return leveled ? high[code] << kLowBits | low[code] : code; }
  // The value that a symmetric matrix has in place of zero.
  int Middle() const { return IsWords() ? 0 : 1 << (leveled ? 2 * kLowBits - 1 : bits - 1); }

  // Products of 16 bits, 32 of them, add up in 32: the largest of a matrix' row becomes the first
  // of these, the largest of a group of inputs the second.
  static constexpr int kWordBits = 16, kMostWord = 16383, kMostInputWord = 4095;
  bool IsWords() const { return bits == kWordBits; }

  static constexpr int kEight = 8, kMostGroup = 128;
  static constexpr int kMostStep = 32;
  // Columns of a group whose scale is a row's: inputs have outliers, which should not touch more.
  static constexpr int kWholeRowGroup = 32;

  // Columns that kernels take at once; rows are padded to whole ones.
  int Step() const { return group < kMostStep ? group : kMostStep; }
  int Groups() const { return (cols + group - 1) / group; }
  int Padded() const { return RoundUp(cols, Step()); }
  size_t HeaderBytes() const {
    return static_cast<size_t>(kPanel) * (half ? 2 : 4) * (symmetric ? 1 : 2);
  }
  size_t CodeBytes(int columns) const {
    return static_cast<size_t>(RoundUp(columns, Step())) * kPanel * bits / 8;
  }
  size_t PanelBytes() const { return CodeBytes(cols) + HeaderBytes() * (whole_row ? 1 : Groups()); }
  // Whether outliers of the inputs are kept out of their codes. What a weight of 4 bits loses
  // itself is more than they do.
  static constexpr bool KeepsOutliers(int bits) { return bits == 8; }
  // Whether the same inputs become the same codes for a matrix of as many columns.
  bool QuantizesAs(const CodesLayout& other) const {
    return bits == other.bits && group == other.group && whole_row == other.whole_row &&
           symmetric == other.symmetric && leveled == other.leveled;
  }
  // Columns of a panel whose codes of 4 bits kernels may open at a time, and the room for that: a
  // byte a code, two floats a group. None where codes are never opened.
  static constexpr int kOpenedColumns = 16;
  size_t OpenedBytes() const {
    if (bits != 4 || whole_row || leveled) return 0;
    return kOpenedColumns * (Padded() + Groups() * 2 * sizeof(float));
  }
  // From one group's codes to the next one's.
  size_t GroupBytes() const { return CodeBytes(group) + (whole_row ? 0 : HeaderBytes()); }
};

// Rows of inputs as signed codes: number = scale × code, a scale for every group of columns, and a
// few outliers as they are. Rows lie in blocks of kBlock, so that a tile of them is read from one
// place.
struct QuantizedRows {
  static constexpr int kBlock = 8;

  // What belongs to one group of the rows of a block.
  struct Group {
    float scales[kBlock];
    float sums[kBlock];      // scale × the sum of the codes
    int32_t starts[kBlock];  // what products with the codes of a weight are added to
  };

  // The numbers that are left out of a block's codes, so that their groups need not have their
  // scales: at most kMost of a row, each of another group. In the order of their columns.
  struct Outliers {
    static constexpr int kMost = 2;
    struct Column {
      int32_t column;
      float numbers[kBlock];  // 0 where a row's is among its codes
    };
    int32_t count;
    Column columns[kMost * kBlock];
  };

  // [rows / kBlock][padded / 4][planes][kBlock][4], zeros beyond the columns
  int8_t* codes = nullptr;
  Group* groups = nullptr;       // [rows / kBlock][groups]
  float* row_sums = nullptr;     // [rows]: of a row's `sums`, in order, and its outliers
  Outliers* outliers = nullptr;  // [rows / kBlock]
  CodesLayout layout;            // of the weight
  // 1: codes as they are; 2: in another form, with two bytes each (see avx2::CodeProducts), or
  // words, of which a plane has two of four columns.
  int planes = 1;

  // So many rows in one piece of memory, and the bytes that they take.
  static QuantizedRows In(uint8_t* memory, int rows, const CodesLayout& layout, int planes) {
    const auto blocks = static_cast<size_t>(RoundUp(rows, kBlock)) / kBlock;
    QuantizedRows placed;
    placed.layout = layout;
    placed.planes = planes;
    placed.groups = reinterpret_cast<Group*>(memory);
    placed.outliers = reinterpret_cast<Outliers*>(placed.groups + blocks * layout.Groups());
    placed.row_sums = reinterpret_cast<float*>(placed.outliers + blocks);
    placed.codes = reinterpret_cast<int8_t*>(placed.row_sums + blocks * kBlock);
    return placed;
  }
  static size_t Bytes(int rows, const CodesLayout& layout, int planes) {
    const auto blocks = static_cast<size_t>(RoundUp(rows, kBlock)) / kBlock;
    return blocks * (layout.Groups() * sizeof(Group) + sizeof(Outliers) +
                     kBlock * (sizeof(float) + layout.Padded() * planes));
  }

  int8_t* CodesOf(int row, int column) const {
    const int64_t start = static_cast<int64_t>(row / kBlock) * kBlock * layout.Padded();
    return codes + (start + column / 4 * kBlock * 4) * planes + row % kBlock * 4;
  }
  Outliers* OutliersOf(int row) const { return outliers + row / kBlock; }
  Group* GroupsOf(int row) const {
    return groups + static_cast<int64_t>(row / kBlock) * layout.Groups();
  }

  // The rows from `row` on, which begins a block.
  QuantizedRows From(int row) const {
    QuantizedRows rest = *this;
    rest.codes = CodesOf(row, 0);
    rest.groups = GroupsOf(row);
    rest.row_sums += row;
    rest.outliers = OutliersOf(row);
    return rest;
  }
};

struct LinearCodesArgs {
  QuantizedRows input;
  const uint8_t* weight = nullptr;  // packed, in the inputs' layout
  const float* bias = nullptr;      // [n] padded to whole panels, or null
  float* out = nullptr;             // [rows, n]
  int n = 0;
  // layout.OpenedBytes() of the calling thread's alone, or null: nothing is opened
  uint8_t* opened = nullptr;
};

struct NormArgs {
  const float* input = nullptr;
  float* residual = nullptr;      // null: none
  const float* weight = nullptr;  // null: ones
  const float* bias = nullptr;    // null: zeros
  float* out = nullptr;
  int cols = 0;
  bool layer = false;  // subtract the mean
  float eps = 0;
};

struct ActivationArgs {
  const float* input = nullptr;
  float* out = nullptr;
  int cols = 0;  // of out; a gated input has twice as many
  bool gated = false;
  Activation activation = Activation::kSilu;
  const float* parameters = nullptr;  // of xielu: [p, n, beta, eps]
};

// out[i] = input[i] · factor, with a cap: cap · tanh(input[i] · factor / cap)
struct ScaleArgs {
  const float* input = nullptr;
  float* out = nullptr;
  float factor = 1, cap = 0;  // 0: none
};

// One layer of a cache group: where the keys and values of (block, kv head) are.
struct CacheLayer {
  uint8_t* data = nullptr;  // this layer's part of block 0
  size_t block_bytes = 0;   // from a block to the next
  int block_size = 0, kv_heads = 0, key_dim = 0, value_dim = 0;
  CacheType type = CacheType::kFloat32;
  // One head whose values are the first value_dim columns of its keys: rows [block_size, key_dim]
  bool latent = false;

  // From a token's values to the next one's.
  int ValueStride() const { return latent ? key_dim : value_dim; }
};

// Functions that kernels call are static, for the reason given in half.h.

// Where an element of keys [key_dim, block_size] or values [block_size, value dim] lies among them.
// In bfloat16 two neighbouring rows of these are pairs, `[rows / 2][columns][2]`, as products of
// pairs want them; a last row without a neighbour lies alone.
template <class T>
static inline int64_t IndexOf(int row, int column, int rows, int columns) {
  if (!std::is_same_v<T, BFloat16> || (row == rows - 1 && row % 2 == 0))
    return static_cast<int64_t>(row) * columns + column;
  return static_cast<int64_t>(row & ~1) * columns + 2 * column + (row & 1);
}

// Keys of (block, kv head): [key_dim, block_size]
template <class T>
static inline T* KeysOf(const CacheLayer& cache, int64_t block, int head) {
  T* layer = reinterpret_cast<T*>(cache.data + block * cache.block_bytes);
  return layer + static_cast<int64_t>(head) * cache.key_dim * cache.block_size;
}

// Values of (block, kv head): [block_size, value stride]
template <class T>
static inline T* ValuesOf(const CacheLayer& cache, int64_t block, int head) {
  const int64_t row = cache.latent ? 0
                                   : static_cast<int64_t>(cache.kv_heads) * cache.key_dim +
                                         static_cast<int64_t>(head) * cache.value_dim;
  return reinterpret_cast<T*>(cache.data + block * cache.block_bytes) + row * cache.block_size;
}

// The scales of the keys of (block, kv head), or of its values: [block_size] floats behind the
// layer's codes, at any address.
static inline uint8_t* ScalesOf(const CacheLayer& cache, int64_t block, int head, bool values) {
  const int columns = cache.latent ? cache.key_dim : cache.key_dim + cache.value_dim;
  const int row = values && !cache.latent ? cache.kv_heads + head : head;
  const int64_t codes = static_cast<int64_t>(cache.kv_heads) * columns;
  return cache.data + block * cache.block_bytes +
         (codes + static_cast<int64_t>(row) * sizeof(float)) * cache.block_size;
}

// Divides the keys or values of a token by their scale, which is written. NaN stays in the scale.
static inline void DivideByScale(float* row, int dim, uint8_t* scale) {
  float largest = 0;
  for (int i = 0; i < dim; ++i) {
    const float x = std::fabs(row[i]);
    if (x > largest || x != x) largest = x;
  }
  const float unit = largest / 127;
  std::memcpy(scale, &unit, sizeof unit);
  for (int i = 0; i < dim; ++i) row[i] /= unit;
}

// How the heads of q, or of k, are normalised.
struct HeadNorm {
  bool on = false, layer = false;
  float eps = 0;
  bool all = false;               // all heads as one row; else each of them
  const float* weight = nullptr;  // null: ones
  const float* bias = nullptr;    // null: zeros
  int weight_step = 0;            // from a head's weights to the next one's; 0: all share them
  int bias_step = 0;
};

struct RopeStoreArgs {
  const float* input = nullptr;    // [rows, heads·dim | kv heads·dim | kv heads·dim]
  const float* cosines = nullptr;  // [rows, rope_dim / 2]
  const float* sines = nullptr;
  int rope_dim = 0;  // 0: no rotation
  bool interleaved = false;
  HeadNorm q_norm, k_norm;
  bool norm_after_rope = false;
  float clip = HUGE_VALF;
  float beta = 0;  // q of position p is multiplied by 1 + beta·ln(1 + ⌊p / span⌋)
  int span = 1;
  int heads = 0, head_dim = 0;
  CacheLayer cache;
  float* out = nullptr;  // [rows, heads·dim]
};

struct AttentionArgs {
  const float* input = nullptr;  // [rows, heads·key_dim]
  float* out = nullptr;          // [rows, heads·value_dim]
  int heads = 0;
  float scale = 1;
  int window = 0;                 // tokens that a row sees, itself included; 0: all
  float softcap = 0;              // 0: none
  const float* slopes = nullptr;  // [heads], null: none
  bool rounded = false;           // queries and weights, to bfloat16; a cache in bfloat16 only
  CacheLayer cache;
};

// Neighbouring token rows of one sequence; row i attends to the first `first_limit + i` tokens.
struct AttentionTile {
  const int32_t* table = nullptr;
  int first_row = 0, rows = 0, first_limit = 0;

  int Limit() const { return first_limit + rows - 1; }
};

// Tokens of a sequence that a thread will probably look at next: those of the span of `first`, from
// there to `last`.
struct AttentionPlace {
  const int32_t* table = nullptr;
  int kv_head = 0, first = 0, last = 0;
};

// The softmax of one query over some spans: its maximum, its sum and its weighted values follow
// each other in floats, `[2 + RoundUp(value_dim, kTokenTile)]`.
static constexpr int StateFloats(int value_dim) { return 2 + RoundUp(value_dim, kTokenTile); }

// Floats of scratch that attend_span needs for a tile of so many queries. Keys are gathered a group
// of tiles at a time, values a span, where blocks do not hold whole tiles.
static constexpr size_t AttentionScratch(int queries, const CacheLayer& cache) {
  const size_t key_dim = RoundUp(cache.key_dim, 2);
  const size_t keys = key_dim * kTokenTile * kTileGroup;
  const bool in_place = cache.block_size % kTokenTile == 0;
  const size_t values = in_place ? 0 : static_cast<size_t>(kSpan) * cache.ValueStride();
  return queries * (kSpan + key_dim) + 2 * kSpan + RoundUp(cache.value_dim, kTokenTile) +
         (keys > values ? keys : values) + kPoolSlack;
}

struct KernelTable {
  const char* name;
  // Columns of panels [first_panel, last_panel) of rows [first_row, last_row).
  void (*linear)(const LinearArgs&, int first_panel, int last_panel, int first_row, int last_row);
  // Rows [first_row, last_row) of `input` [rows, k] rounded to bfloat16, as `linear` reads them:
  // [rows][k rounded up to kPair] numbers of at most 4 bytes.
  void (*round_rows)(const float* input, int k, void* to, int first_row, int last_row);
  // `linear` for a matrix of codes and quantised inputs; first_row begins a block of them.
  void (*linear_codes)(const LinearCodesArgs&, int first_panel, int last_panel, int first_row,
                       int last_row);
  // QuantizedRows::planes of inputs beside such a matrix.
  int (*planes_of)(const CodesLayout&);
  // Rows [first_row, last_row) of `input` [rows, cols] as codes.
  void (*quantize_rows)(const float* input, const QuantizedRows& to, int first_row, int last_row);
  void (*norm)(const NormArgs&, int first_row, int last_row);
  void (*activation)(const ActivationArgs&, int first_row, int last_row);
  // Elements [first, last).
  void (*scale)(const ScaleArgs&, int64_t first, int64_t last);
  // Asks for the memory that rope_store_kv will write to.
  void (*fetch_kv)(const CacheLayer&, int position, const int32_t* table);
  // `position` of `row` in its sequence says the slot: table[position / block_size].
  void (*rope_store_kv)(const RopeStoreArgs&, int row, int position, const int32_t* table);
  // Softmax state of each query of the tile over one span, to `states` [rows · heads a kv head].
  // Memory that comes `next` is asked for on the way.
  void (*attend_span)(const AttentionArgs&, const AttentionTile&, int kv_head, int span,
                      const AttentionPlace& next, float* states, float* scratch);
  // Adds the states of a span to `total`; the spans of a query are added in order, from span 0.
  void (*combine_span)(float* total, const float* states, int queries, int value_dim);
  // Divides by the sums and writes the tile's rows of the result.
  void (*finish_attention)(const AttentionArgs&, const AttentionTile&, int kv_head,
                           const float* states);
  // The largest of n numbers; NaN does not count, -infinity if nothing does.
  float (*largest)(const float* values, int n);
  // to[i] = exp(from[i] - shift)
  void (*exp_shifted)(const float* from, float shift, int n, float* to);
};

// Null where the compiler or the processor architecture does not know the instruction set.
const KernelTable* PortableKernels();
const KernelTable* Avx2Kernels();
const KernelTable* AvxVnniKernels();
const KernelTable* Avx512Bf16Kernels();
const KernelTable* Avx512Kernels();
const KernelTable* NeonKernels();
const KernelTable* NeonDotprodKernels();
const KernelTable* NeonI8mmKernels();

}  // namespace octavo::cpu
