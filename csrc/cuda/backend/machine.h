// What the ops of a CUDA backend share: memory on the device, the stream that they run in, and how
// many rows the step that is under way has.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../../backend.h"
#include "../kernels/launchers.h"
#include "adapters.h"
#include "buffer.h"
#include "cublas_lt.h"
#include "mask_rows.h"
#include "progress.h"
#include "results.h"
#include "step_upload.h"

namespace octavo::cuda {

struct DeviceWeight {
  Type type = Type::kFloat32;
  int64_t rows = 0, cols = 0;
  DevicePointer memory;
  // Of a matrix of codes, which `memory` then holds; `type` means nothing.
  CodesView codes{};
  DevicePointer scales, levels, order;
};

// The blocks that all cache groups draw from: those of the device in one allocation, those of the
// host in another.
struct CachePool {
  std::vector<CacheGroup> groups;
  size_t block_bytes = 0;  // of the largest group
  DevicePointer device;
  PinnedPointer host;

  uint8_t* Block(int tier, int64_t block) const {
    auto* base = static_cast<uint8_t*>(tier == 0 ? device.get() : host.get());
    return base + block * static_cast<int64_t>(block_bytes);
  }
};

// Rows of a launch: those of the step, or more, which are padding.
struct LaunchRows {
  int tokens = 0, sequences = 0, samples = 0, tiles = 0, decodes = 0, pools = 0;
  int adapted_tokens = 0, adapted_samples = 0;  // runs of rows with an adapter
  int longest = 0;  // context of a decoding row; 0: not known, a graph serves all
};

struct Machine {
  explicit Machine(const BackendOptions& backend_options);

  void* At(const Value& value) const { return arena.As<uint8_t>() + value.offset; }
  CacheView Layer(int group, int layer) const;
  int RowsOf(const Value& value) const;
  // Parts into which the context of a decoding row is cut, so that every multiprocessor has work.
  int Splits(int decodes, int row_blocks, int longest) const;

  BackendOptions options;
  const bool checks_ops;  // waits for each op, so that what fails is known: OCTAVO_CUDA_CHECK
  DeviceInfo info;
  StreamPointer stream;
  Progress progress;
  std::unique_ptr<CublasLt> cublas;  // null: all products are our own kernels'
  std::map<std::string, std::shared_ptr<const DeviceWeight>> weights;  // by what they are made of
  Adapters adapters;
  CachePool cache;
  Buffer arena, partials, processed;
  Buffer reordered,
      slots;      // of one op at a time: inputs in codes' order, and ExpertLinear's scratch
  Buffer shrunk;  // likewise Adapt's
  StepUpload upload;
  Results results;
  MaskRows masks;
  LaunchRows rows;
};

}  // namespace octavo::cuda
