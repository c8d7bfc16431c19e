#include "isa.h"

#include <stdexcept>

#include "features.h"

namespace octavo::cpu {
namespace {

std::vector<const KernelTable*> Tables() {
  const Features features = DetectFeatures();
  std::vector<const KernelTable*> tables;
  // Functions of an instruction set are not even called where it is not supported.
  const auto add = [&tables](bool supported, const KernelTable* (*kernels)()) {
    if (supported && kernels() != nullptr) tables.push_back(kernels());
  };
#if defined(__x86_64__) || defined(_M_X64)
  add(features.avx512_bf16, Avx512Bf16Kernels);
  add(features.avx512, Avx512Kernels);
  add(features.avx_vnni, AvxVnniKernels);
  add(features.avx2, Avx2Kernels);
#elif defined(__aarch64__) || defined(_M_ARM64)
  add(features.i8mm, NeonI8mmKernels);
  add(features.dotprod, NeonDotprodKernels);
  add(features.neon, NeonKernels);
#endif
  add(true, PortableKernels);
  return tables;
}

}  // namespace

std::vector<std::string> InstructionSets() {
  std::vector<std::string> names;
  for (const KernelTable* table : Tables()) names.emplace_back(table->name);
  return names;
}

const KernelTable* KernelsFor(const std::string& isa) {
  std::string choices;
  for (const KernelTable* table : Tables()) {
    if (isa.empty() || isa == table->name) return table;
    choices += (choices.empty() ? "" : ", ") + std::string(table->name);
  }
  throw std::runtime_error("instruction set '" + isa + "' is not available here; expected one of " +
                           choices);
}

}  // namespace octavo::cpu
