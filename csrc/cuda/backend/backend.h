// The CUDA backend: plans and steps on one NVIDIA GPU (docs/cuda.md).
#pragma once

#include <memory>
#include <string>

#include "../../backend.h"

namespace octavo {

// Throws std::runtime_error where there is no GPU, with what was looked for.
std::unique_ptr<Backend> MakeCudaBackend(const BackendOptions& options);

// Empty where there is a GPU to use, else what was looked for and what was found.
std::string WhyCudaIsUnavailable();

DeviceMemory QueryCudaMemory();

}  // namespace octavo
