// Compiled as kernels_avx512.cc is, and with -mavx512bf16. MSVC has no such flag: there
// are no such kernels there.
#if defined(__AVX512BF16__)
#include "kernels/attention.h"
#include "kernels/linear.h"
#include "kernels/pairs_avx512.h"
#endif
#include "kernels.h"

namespace octavo::cpu {

#if defined(__AVX512BF16__)
static void AttendSpan(const AttentionArgs& args, const AttentionTile& tile, int kv_head, int span,
                       const AttentionPlace& next, float* states, float* scratch) {
  const auto attend =
      args.rounded ? Attention<avx512::Vec>::Attend<avx512::Pairs> : Avx512Kernels()->attend_span;
  attend(args, tile, kv_head, span, next, states, scratch);
}
#endif

// What AVX-512 has, save products with matrices and caches in bfloat16.
const KernelTable* Avx512Bf16Kernels() {
#if defined(__AVX512BF16__)
  using Product = Linear<avx512::Vec, avx512::Pairs>;
  static const KernelTable kTable = [] {
    KernelTable table = *Avx512Kernels();
    table.name = "avx512_bf16";
    table.linear = Product::Run;
    table.round_rows = Product::RoundRows;
    table.attend_span = AttendSpan;
    return table;
  }();
  return &kTable;
#else
  return nullptr;
#endif
}

}  // namespace octavo::cpu
