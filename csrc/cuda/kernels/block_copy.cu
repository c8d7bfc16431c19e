// Copies of cache blocks, all of a step in one launch.
#include "dispatch.h"
#include "launchers.h"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kPiecesAThread = 4;  // loads in flight before the first store

__global__ void __launch_bounds__(kThreads)
    CopyBlocksKernel(Mark mark, const BlockMove* moves, int64_t pieces) {
  Leave(mark);
  using Piece = Pack<uint32_t, 4>;
  const BlockMove move = moves[blockIdx.y];
  const auto* from = reinterpret_cast<const Piece*>(move.from);
  auto* to = reinterpret_cast<Piece*>(move.to);
  const int64_t first = static_cast<int64_t>(blockIdx.x) * kThreads * kPiecesAThread + threadIdx.x;
  Piece held[kPiecesAThread];
#pragma unroll
  for (int i = 0; i < kPiecesAThread; ++i)
    if (first + i * kThreads < pieces) held[i] = from[first + i * kThreads];
#pragma unroll
  for (int i = 0; i < kPiecesAThread; ++i)
    if (first + i * kThreads < pieces) to[first + i * kThreads] = held[i];
}

}  // namespace

void CopyBlocks(const BlockMove* moves, int count, size_t bytes, Stream stream) {
  constexpr int kMostRows = 65535;  // of a grid
  const auto pieces = static_cast<int64_t>(bytes / 16);
  for (int first = 0; first < count; first += kMostRows) {
    const int rows = count - first < kMostRows ? count - first : kMostRows;
    const Dim3 grid(CeilDiv(pieces, kThreads * kPiecesAThread), rows);
    Launch("copy blocks", CopyBlocksKernel, grid, kThreads, 0, stream, moves + first, pieces);
  }
}

}  // namespace octavo::cuda
