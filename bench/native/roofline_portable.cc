#include "cpu/kernels/vec_portable.h"
#include "roofline.h"

namespace octavo::bench {

Roofline PortableRoofline() {
  using Limits = RooflineOf<cpu::portable::Vec>;
  return {Limits::MultiplyAdd, Limits::Read};
}

}  // namespace octavo::bench
