// Packed weights in a file, which later loads map instead of packing: nothing is copied, and the
// processes that map one file share its memory.
//
// Front { magic, kPackedLayout, size and checksum of the header }
// header: what the weights were made of; of each weight its key, form, place and checksum
// the weights, each at a multiple of 4,096 bytes
//
// All numbers are little endian. Bytes are the same for every instruction set.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "../backend.h"
#include "../mapped_file.h"
#include "packed_weight.h"
#include "thread_pool.h"

namespace octavo::cpu {

using PackedWeights = std::map<std::string, std::shared_ptr<const PackedWeight>>;  // by Weight::Key

struct MappedWeights {
  std::unique_ptr<MappedFile> file;  // null: there is none
  PackedWeights weights;             // their data lies in it
};

// Throws std::runtime_error saying why the file does not serve the plan: it is damaged anywhere,
// its layout or source is another one, or a weight is missing; and what `check` throws, which is
// called for every few megabytes.
MappedWeights MapPackedFile(const WeightFile& file, const Plan& plan, ThreadPool* pool,
                            const std::function<void()>& check);

// Writes the plan's weights. Throws std::runtime_error saying why that failed, and as
// MapPackedFile.
void WritePackedFile(const WeightFile& file, const Plan& plan, const PackedWeights& weights,
                     ThreadPool* pool, const std::function<void()>& check);

}  // namespace octavo::cpu
