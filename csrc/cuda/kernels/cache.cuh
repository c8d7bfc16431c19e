// Where the keys and values of a token lie.
#pragma once

#include "launchers.h"
#include "platform.cuh"

namespace octavo::cuda {

struct Slot {
  int64_t block;
  int offset;  // token within the block
};

// `table` is the block table of a sequence, `position` a token of it.
__device__ __forceinline__ Slot SlotAt(const CacheView& cache, const int32_t* table, int position) {
  const int index = position / cache.block_size;
  return {table[index], position - index * cache.block_size};
}

__device__ __forceinline__ const int32_t* TableOf(const DeviceStep& step, const CacheView& cache,
                                                  int sequence) {
  return step.tables + step.table_starts[cache.group * step.sequences + sequence];
}

// The tokens that a row attends to: those before it in its sequence, and itself.
__device__ __forceinline__ int LimitOf(const DeviceStep& step, int sequence, int row) {
  const SequenceRow& rows = step.sequence_rows[sequence];
  return rows.context_length - rows.row_count + row - rows.first_row + 1;
}

__device__ __forceinline__ Slot SlotOf(const DeviceStep& step, const CacheView& cache, int row) {
  const int sequence = step.sequence_of_row[row];
  return SlotAt(cache, TableOf(step, cache, sequence), LimitOf(step, sequence, row) - 1);
}

template <class C>
__device__ __forceinline__ C* KeyRow(const CacheView& cache, const Slot& slot, int kv_head) {
  C* layer = reinterpret_cast<C*>(cache.data + slot.block * cache.block_bytes);
  return layer + static_cast<int64_t>(kv_head * cache.block_size + slot.offset) * cache.key_dim;
}

template <class C>
__device__ __forceinline__ C* ValueRow(const CacheView& cache, const Slot& slot, int kv_head) {
  if (cache.latent) return KeyRow<C>(cache, slot, kv_head);
  C* values = reinterpret_cast<C*>(cache.data + slot.block * cache.block_bytes) +
              static_cast<int64_t>(cache.kv_heads * cache.block_size) * cache.key_dim;
  return values + static_cast<int64_t>(kv_head * cache.block_size + slot.offset) * cache.value_dim;
}

// Whether rows of C have a scale.
template <class C>
constexpr bool kScaled = std::is_same_v<std::remove_const_t<C>, Int8>;

__device__ __forceinline__ float* KeyScale(const CacheView& cache, const Slot& slot, int kv_head) {
  const int columns = cache.latent ? cache.key_dim : cache.key_dim + cache.value_dim;
  auto* scales =
      reinterpret_cast<float*>(cache.data + slot.block * cache.block_bytes +
                               static_cast<int64_t>(cache.kv_heads * cache.block_size) * columns);
  return scales + kv_head * cache.block_size + slot.offset;
}

__device__ __forceinline__ float* ValueScale(const CacheView& cache, const Slot& slot,
                                             int kv_head) {
  return KeyScale(cache, slot, cache.latent ? kv_head : cache.kv_heads + kv_head);
}

}  // namespace octavo::cuda
