// A plan as native code sees it: the parsed text form (docs/plan-format.md). Immutable after Parse.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "cache_type.h"
#include "tensor.h"

namespace octavo {

enum class Rows : uint8_t { kTokens, kSequences, kSamples };

struct Value {
  Rows rows = Rows::kTokens;
  int cols = 0;
  size_t offset = 0;  // bytes from the start of the arena, a multiple of 64
};

// Which elements of a tensor a source takes: row r begins first + the sum of step × counter
// elements into it, counters as of nested loops whose last one runs fastest.
struct SourceView {
  struct Loop {
    int64_t count = 1, step = 1;
  };
  int64_t first = 0, column_step = 1;
  std::vector<Loop> loops;  // empty: the source takes the rows of its tensor as they are
};

struct WeightSource {
  std::string name;
  int64_t rows = 0;
  SourceView view;
};

struct Weight {
  bool matrix = false;  // else a float32 vector
  Type type = Type::kFloat32;
  Quantization quantization;   // of a matrix that is kept as codes: `type` then means nothing
  int64_t rows = 0, cols = 0;  // a vector has rows elements and cols 1
  float offset = 0;            // added to each element of a vector when it is loaded
  std::vector<WeightSource> sources;

  // As the plan's text writes it: bfloat16, int4/32.
  std::string TypeName() const { return quantization ? NameOf(quantization) : NameOf(type); }
  // The name under which plans share it once it is loaded: equal for equal contents.
  std::string Key() const;
  // Bytes that its elements take, scales and minimums of 16 bits included.
  uint64_t Bytes() const;
};

// All groups draw blocks of equal bytes from one pool: BlockBytes of the largest.
struct CacheGroup {
  enum class Kind : uint8_t { kFull, kWindow, kState };

  std::string name;
  Kind kind = Kind::kFull;
  CacheType type = CacheType::kFloat32;
  int layers = 0;
  int kv_heads = 0, key_dim = 0, value_dim = 0;  // of tokens
  bool latent = false;  // values are the first value_dim columns of the keys
  int window = 0;       // tokens that a window keeps
  int elements = 0;     // of a sequence's state, a layer

  bool IsState() const { return kind == Kind::kState; }
  size_t BytesPerToken() const {
    const auto dim = static_cast<size_t>(latent ? key_dim : key_dim + value_dim);
    const size_t row = dim * SizeOf(type) + (latent ? 1 : 2) * ScaleBytes(type);
    return static_cast<size_t>(layers) * kv_heads * row;
  }
  // One block holds a sequence's state, or block_size tokens, of all layers.
  size_t BlockBytes(int block_size) const {
    if (IsState()) return static_cast<size_t>(layers) * elements * SizeOf(type);
    return BytesPerToken() * block_size;
  }
};

// Bytes of a block that serves all groups.
inline size_t BlockBytes(const std::vector<CacheGroup>& groups, int block_size) {
  size_t bytes = 0;
  for (const CacheGroup& group : groups) bytes = std::max(bytes, group.BlockBytes(block_size));
  return bytes;
}

struct Rope {
  int dim = 0;
  float scale = 1;
  std::vector<float> inv_freq;
  bool interleaved = false;  // pairs (2i, 2i + 1) instead of (i, i + dim / 2)
  bool dynamic = false;
  double base = 0, factor = 1, original = 0;
  // Of sequences that are longer than `long_from` tokens; empty: there are none.
  std::vector<float> long_inv_freq;
  int long_from = 0;
};

// One kernel launch. Attributes stay text; a backend reads them once, when it compiles the op.
struct Op {
  std::string kind, label;
  std::vector<int> inputs;  // value ids
  int out = -1;             // value id, or -1
  std::map<std::string, std::string> attributes;

  bool Has(const std::string& key) const { return attributes.count(key) != 0; }
  // Each throws, naming the label and the key, when the attribute is missing or no number.
  int Int(const std::string& key) const;
  double Number(const std::string& key) const;
  const std::string& Text(const std::string& key) const;
  std::vector<int> Ints(const std::string& key) const;  // "[1,2]"
  std::vector<float> Numbers(const std::string& key) const;
  // What is absent is 0.
  bool Flag(const std::string& key) const { return Has(key) && Int(key) != 0; }
  double NumberOr0(const std::string& key) const { return Has(key) ? Number(key) : 0; }
};

struct Plan {
  std::string name;
  int vocab_size = 0;
  int max_tokens = 0, max_sequences = 0, max_samples = 0;  // the limits
  size_t arena_bytes = 0;
  std::vector<CacheGroup> caches;
  std::vector<Rope> ropes;
  std::vector<Weight> weights;
  std::vector<Value> values;
  std::vector<Op> ops;

  // The most rows that a value has in a step.
  int MaxRows(Rows rows) const;

  // Columns of the value that `pool` reads; 0: the plan pools nothing.
  int PooledColumns() const;

  // Throws std::runtime_error naming the line and what was expected.
  static Plan Parse(const std::string& text);
};

}  // namespace octavo
