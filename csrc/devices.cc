// The backends that this build has.
#include <stdexcept>

#include "backend.h"
#ifdef OCTAVO_CUDA
#include "cuda/backend/backend.h"
#endif

namespace octavo {

#ifdef OCTAVO_CUDA

bool IsBuiltWithCuda() { return true; }
std::string WhyNoCuda() { return WhyCudaIsUnavailable(); }
DeviceMemory CudaMemoryNow() { return QueryCudaMemory(); }

std::unique_ptr<Backend> MakeBackend(const BackendOptions& options) {
  return options.device == "cuda" ? MakeCudaBackend(options) : MakeCpuBackend(options);
}

#else

bool IsBuiltWithCuda() { return false; }
std::string WhyNoCuda() { return "this build of the addon has no CUDA backend"; }
DeviceMemory CudaMemoryNow() { throw std::runtime_error(WhyNoCuda()); }

std::unique_ptr<Backend> MakeBackend(const BackendOptions& options) {
  if (options.device == "cuda") throw std::runtime_error(WhyNoCuda());
  return MakeCpuBackend(options);
}

#endif

}  // namespace octavo
