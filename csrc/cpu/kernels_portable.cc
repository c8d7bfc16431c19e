#define OCTAVO_PLAIN
#include "kernels/code_products.h"
#include "kernels/integers_plain.h"
#include "kernels/table.h"
#include "kernels/vec_portable.h"

namespace octavo::cpu {

const KernelTable* PortableKernels() {
  static constexpr KernelTable kTable =
      Table<portable::Vec, CodeProducts<PlainIntegers<portable::Vec>>>::Named("portable");
  return &kTable;
}

}  // namespace octavo::cpu
