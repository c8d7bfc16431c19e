// Matrix products of any size and type: out = input × weightᵀ + bias, added up in float32. A warp a
// column for a few rows, which reads the weight once at the memory's speed; tiles for many.
#include "dispatch.h"
#include "launchers.h"
#include "linear_few.cuh"
#include "linear_tensor.cuh"
#include "linear_tiled.cuh"

namespace octavo::cuda {
namespace {

template <class T>
void LaunchLinear(const LinearArgs& args, Stream stream) {
  if (args.rows <= kFewRows && !args.one_path)
    return LaunchFewRows<NumberColumn<T, kPackOf<T>>, NumberColumn<T, 1>>(args, stream);
  if constexpr (sizeof(T) == 2) {
    if (args.k % kPackOf<T> == 0) return LaunchTensorLinear<T, false>(args, stream);
  }
  LaunchTiledLinear<T, false>(args, stream);
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void Linear(const LinearArgs& args, Stream stream) {
  if (args.codes.bits != 0) return LinearOfCodes(args, stream);
  ForType(args.type,
          [&](auto tag) { LaunchLinear<typename decltype(tag)::Element>(args, stream); });
}

}  // namespace octavo::cuda
