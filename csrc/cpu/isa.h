// Which instruction sets this processor runs.
#pragma once

#include <string>
#include <vector>

#include "kernels.h"

namespace octavo::cpu {

// The instruction sets that there are kernels for and that the processor and the operating system
// support, best first; the last is always "portable".
std::vector<std::string> InstructionSets();

// The kernels of an instruction set, "" for the best. Throws std::runtime_error listing the choices
// when this machine does not have it.
const KernelTable* KernelsFor(const std::string& isa);

}  // namespace octavo::cpu
