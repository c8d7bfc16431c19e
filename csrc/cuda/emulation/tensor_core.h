// The tensor-core and asynchronous-copy instructions that kernels/tensor_core.cuh wraps, by the
// fragment layouts of the PTX manual.
#pragma once

#include <deque>
#include <vector>

#include "device.h"

namespace octavo::cuda {
namespace emulation {

template <class T>
float At(const uint32_t* registers, int half) {
  static_assert(sizeof(T) == 2);
  T value;
  value.bits = static_cast<uint16_t>(registers[half / 2] >> (half % 2 * 16));
  return ToFloat(value);
}

struct MatrixRows {
  size_t row;  // byte offset of the row that this lane names
  uint32_t* registers;
};

// ldmatrix.x4 of 8 × 8 matrices of 16-bit elements. Lane i names row i % 8 of matrix i / 8. Lane i
// gets elements (i / 4, 2 · (i % 4)) and its right neighbour of each matrix; transposed, those of
// the transposed matrix.
template <bool transposed>
void CombineLoadMatrix(void* const* lanes, uint32_t) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int matrix = 0; matrix < 4; ++matrix) {
      uint16_t pair[2];
      for (int j = 0; j < 2; ++j) {
        const int row = lane / 4, column = lane % 4 * 2 + j;
        const int from_row = transposed ? column : row, from_column = transposed ? row : column;
        const auto* source = static_cast<MatrixRows*>(lanes[matrix * 8 + from_row]);
        std::memcpy(&pair[j], Memory().data() + source->row + from_column * 2, 2);
      }
      static_cast<MatrixRows*>(lanes[lane])->registers[matrix] = pair[0] | uint32_t{pair[1]} << 16;
    }
  }
}

template <bool transposed, class T>
void LoadMatrices(const Place& place, uint32_t (&registers)[4], SharedArray<T> row) {
  constexpr int kRowBytes = 16;
  MatrixRows mine{row.Offset(0, kRowBytes / sizeof(T)), registers};
  if (mine.row % kRowBytes != 0) throw std::runtime_error("ldmatrix: a row at an odd address");
  Note(mine.row, kRowBytes, Touch::kRead);
  MeetWarp(place, kAllLanes, &mine, CombineLoadMatrix<transposed>, false);
}

struct Fragments {
  float* d;
  const uint32_t *a, *b;
};

// mma.m16n8k16, row × column. With g = lane / 4 and t = lane % 4: a[0], a[1] hold columns 2t, 2t +
// 1 of rows g and g + 8, a[2], a[3] the same of columns 2t + 8 on; b[0], b[1] hold rows 2t and 2t +
// 8 on of column g; d holds columns 2t, 2t + 1 of row g, then of row g + 8.
template <class T>
void CombineMultiply(void* const* lanes, uint32_t) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const auto* mine = static_cast<Fragments*>(lanes[lane]);
    const int g = lane / 4, t = lane % 4;
    for (int half = 0; half < 8; ++half)
      a[g + half / 2 % 2 * 8][2 * t + half % 2 + half / 4 * 8] = At<T>(mine->a, half);
    for (int half = 0; half < 4; ++half)
      b[2 * t + half % 2 + half / 2 * 8][g] = At<T>(mine->b, half);
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      const int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
      float sum = static_cast<Fragments*>(lanes[lane])->d[i];
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      static_cast<Fragments*>(lanes[lane])->d[i] = sum;
    }
  }
}

// The asynchronous copies of one thread. A copy takes place only where the thread waits for it, so
// that whoever reads too early finds what was there before.
struct AsyncCopy {
  size_t to, count;
  uint8_t bytes[16];
};
using CopyGroup = std::vector<AsyncCopy>;
struct CopyQueue {
  uint64_t block = 0;  // whose copies these are; another one's are forgotten
  CopyGroup open;
  std::deque<CopyGroup> committed;
};
inline CopyQueue& CopiesOfThread() {
  static thread_local std::vector<CopyQueue> queues(1024);
  CopyQueue& queue = queues[static_cast<size_t>(ThreadOfBlock())];
  if (queue.block != BlockNumber()) queue = {BlockNumber(), {}, {}};
  return queue;
}

}  // namespace emulation

template <class T>
void LoadMatrix(uint32_t (&registers)[4], SharedArray<T> row, OCTAVO_PLACE) {
  emulation::LoadMatrices<false>({"ldmatrix", file, line}, registers, row);
}
template <class T>
void LoadMatrixTransposed(uint32_t (&registers)[4], SharedArray<T> row, OCTAVO_PLACE) {
  emulation::LoadMatrices<true>({"ldmatrix.trans", file, line}, registers, row);
}

template <class T>
void MultiplyAdd(float (&d)[4], const uint32_t (&a)[4], const uint32_t* b, OCTAVO_PLACE) {
  emulation::Fragments mine{d, a, b};
  emulation::MeetWarp({"mma", file, line}, kAllLanes, &mine, emulation::CombineMultiply<T>, false);
}

// Sixteen bytes or four; zeros where not valid.
template <int kBytes = 16, class T>
void CopyAsync(SharedArray<T> to, const T* from, bool valid) {
  static_assert(kBytes == 16 || kBytes == 4);
  emulation::AsyncCopy copy{to.Offset(0, kBytes / sizeof(T)), kBytes, {}};
  if (copy.to % kBytes != 0 || reinterpret_cast<uintptr_t>(from) % kBytes != 0)
    throw std::runtime_error("cp.async: an odd address");
  emulation::Note(copy.to, kBytes, emulation::Touch::kCopyStarts);
  if (valid) std::memcpy(copy.bytes, from, kBytes);
  emulation::CopiesOfThread().open.push_back(copy);
}

inline void CommitCopies() {
  emulation::CopyQueue& queue = emulation::CopiesOfThread();
  queue.committed.push_back(std::move(queue.open));
  queue.open.clear();
}

// Until at most `pending` groups of this thread are under way.
template <int pending>
void WaitForCopies() {
  emulation::CopyQueue& queue = emulation::CopiesOfThread();
  while (queue.committed.size() > pending) {
    for (const emulation::AsyncCopy& copy : queue.committed.front()) {
      emulation::Note(copy.to, copy.count, emulation::Touch::kWrite);
      std::memcpy(emulation::Memory().data() + copy.to, copy.bytes, copy.count);
    }
    queue.committed.pop_front();
  }
}

}  // namespace octavo::cuda
