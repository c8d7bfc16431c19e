// Where the tensors of a checkpoint come from: mapped files, memory, or made up.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "decoders/stored_tensor.h"
#include "mapped_file.h"
#include "plan.h"
#include "source_rows.h"
#include "tensor.h"

namespace octavo {

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

// Bytes of a file, and the type of their elements as the file's format names it.
struct FileRange {
  std::string file, type;
  uint64_t offset = 0, length = 0;  // bytes
};

// One tensor of a checkpoint, as the reader of its header found it.
struct FileTensor {
  std::string name;
  FileRange data;
  Type type = Type::kFloat32;
  std::vector<int64_t> shape;
  // Heads whose rows stand in pairs: what belongs in rows i and i + n / 2 of a head of n rows
  // stands in rows 2i and 2i + 1. 0: all rows stand in order.
  int paired_heads = 0;
  // Not empty: `data` are codes of this form (decoders/stored_tensor.h), and `type` means nothing.
  std::string encoding;
  int64_t group = 0;
  float offset = 0;
  std::map<std::string, FileRange> parts;  // by StoredTensor's names

  std::vector<const FileRange*> Ranges() const {
    std::vector<const FileRange*> ranges = {&data};
    for (const auto& part : parts) ranges.push_back(&part.second);
    return ranges;
  }
};

// Tensors of files, each mapped once while this lives. Every range is checked again here.
class FileTensors : public TensorSource {
 public:
  // Maps all files and checks every tensor, wanted or not.
  explicit FileTensors(std::vector<FileTensor> tensors);
  TensorView Get(const Weight& weight, const WeightSource& source) override;
  void Release() override;

 private:
  TensorView ViewOf(const FileTensor& tensor) const;
  StoredPart PartOf(const FileRange& range) const;

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
