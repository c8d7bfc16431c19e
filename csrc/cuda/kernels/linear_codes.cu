// Products with matrices of codes. Each code becomes a number where it is used: in registers for a
// few rows, on its way to shared memory for many.
#include "codes.cuh"
#include "dispatch.h"
#include "launchers.h"
#include "linear_few.cuh"
#include "linear_tensor.cuh"
#include "linear_tiled.cuh"

namespace octavo::cuda {
namespace {

template <class T>
void LaunchCodes(const LinearArgs& args, Stream stream) {
  if (args.rows <= kFewRows && !args.one_path)
    return LaunchFewRows<CodeColumn<T, true>, CodeColumn<T, false>>(args, stream);
  if constexpr (sizeof(T) == 2) {
    if (args.k % kPackOf<T> == 0) return LaunchTensorLinear<T, true>(args, stream);
  }
  LaunchTiledLinear<T, true>(args, stream);
}

constexpr int kThreads = 256;

template <class T>
__global__ void __launch_bounds__(kThreads) EmbedKernel(Mark mark, EmbedArgs args) {
  Leave(mark);
  const int row = blockIdx.x;
  const bool padding = row >= args.step->tokens;
  int64_t id = padding            ? 0
               : args.by_position ? args.step->positions[row] + args.position_offset
                                  : args.step->ids[row];
  if (id < 0) id = args.last_ids[-1 - id];
  const float* given =
      id < args.vocabulary
          ? nullptr
          : args.step->embeddings + (id - args.vocabulary) * args.step->embedding_columns;
  T* to = static_cast<T*>(args.out) + static_cast<int64_t>(row) * args.cols;
  for (int c = threadIdx.x; c < args.cols; c += kThreads) {
    const int column = args.codes.order == nullptr ? c : args.codes.order[c];
    const float x = given == nullptr ? DecodeOne(args.codes, id, c) : given[column];
    to[column] = Rounded<T>(x * args.scale);
  }
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void LinearOfCodes(const LinearArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) { LaunchCodes<typename decltype(tag)::Element>(args, stream); });
}

void EmbedCodes(const EmbedArgs& args, Stream stream) {
  ForType(args.type, [&](auto tag) {
    using T = typename decltype(tag)::Element;
    Launch("embed codes", EmbedKernel<T>, args.rows, kThreads, 0, stream, args);
  });
}

}  // namespace octavo::cuda
