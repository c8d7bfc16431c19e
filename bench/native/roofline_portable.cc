#include "cpu/kernels/code_products.h"
#include "cpu/kernels/integers_plain.h"
#include "cpu/kernels/vec_portable.h"
#include "roofline.h"

namespace octavo::bench {

Roofline PortableRoofline() {
  using V = cpu::portable::Vec;
  return RooflineOf<V, cpu::CodeProducts<cpu::PlainIntegers<V>>>::Limits();
}

}  // namespace octavo::bench
