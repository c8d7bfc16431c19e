// Where the tensors of a checkpoint come from: mapped files, memory, or made up.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "mapped_file.h"
#include "plan.h"
#include "tensor.h"

namespace octavo {

// Rows that had to be copied together, because they do not lie one behind the other in their
// tensor.
using CopiedRows = std::vector<std::vector<uint8_t>>;

// Gives the sources of weights. Views stay valid until the next call of Release.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  // A tensor of exactly source.rows × weight.cols elements (a vector: source.rows). Throws
  // std::runtime_error naming the tensor.
  virtual TensorView Get(const Weight& weight, const WeightSource& source) = 0;
  // The views given so far are not used any more.
  virtual void Release() {}
};

// One tensor of a checkpoint file, as the reader of its header found it.
struct FileTensor {
  std::string name, file;
  uint64_t offset = 0, length = 0;  // bytes
  Type type = Type::kFloat32;
  std::vector<int64_t> shape;
  // Heads whose rows stand in pairs: what belongs in rows i and i + n / 2 of a head of n rows
  // stands in rows 2i and 2i + 1. 0: all rows stand in order.
  int paired_heads = 0;
};

// Tensors of files, each mapped once while this lives. Every range is checked again here.
class FileTensors : public TensorSource {
 public:
  // Maps all files and checks every tensor, wanted or not.
  explicit FileTensors(std::vector<FileTensor> tensors);
  TensorView Get(const Weight& weight, const WeightSource& source) override;
  void Release() override;

 private:
  std::map<std::string, std::unique_ptr<MappedFile>> files_;
  std::map<std::string, FileTensor> tensors_;
  std::vector<const FileTensor*> given_;
  CopiedRows copied_;
};

// Tensors that somebody else keeps in memory.
class MemoryTensors : public TensorSource {
 public:
  explicit MemoryTensors(std::map<std::string, TensorView> tensors);
  TensorView Get(const Weight& weight, const WeightSource& source) override;
  void Release() override { copied_.clear(); }

 private:
  std::map<std::string, TensorView> tensors_;
  CopiedRows copied_;
};

// Deterministic random numbers from (seed, source name, element index), the same on every machine:
// about normal with deviation 0.02, around 1 for the gains of norms and around 0 for all else.
class DummyTensors : public TensorSource {
 public:
  explicit DummyTensors(uint64_t seed) : seed_(seed) {}
  TensorView Get(const Weight& weight, const WeightSource& source) override;
  void Release() override { given_.clear(); }

 private:
  uint64_t seed_;
  std::vector<std::vector<float>> given_;
};

// Adds the offset of a vector to its sources, which then are float32 copies in `copied`.
void AddOffset(float offset, std::vector<TensorView>* sources, CopiedRows* copied);

}  // namespace octavo
