// A library that computes what cuBLASLt would, slowly and on the CPU: the backend finds it under
// the emulator by OCTAVO_CUBLASLT. It knows no way for odd k, and fails where OCTAVO_FAKE_CUBLASLT
// is "fail", with a bias also where it is "fail bias". It writes 0 to its workspace, so that one
// that is not there is noticed.
#include <cstdlib>
#include <cstring>
#include <string>

#include "cpu/half.h"
#include "cuda/backend/cublas_lt_api.h"

using namespace octavo::cuda::cublas_lt;

namespace {

constexpr Status kInvalid = 7, kNotSupported = 15, kFailed = 14;

struct FakeLayout {
  DataType type;
  uint64_t rows, columns;
  int64_t leading;
};
struct FakeDescription {
  int32_t transpose_a = 0;
  uint32_t epilogue = 1;  // none
  const void* bias = nullptr;
  int32_t bias_type = -1;
};

float Read(const void* from, DataType type, int64_t index) {
  const auto read = [&](auto element) {
    std::memcpy(&element, static_cast<const char*>(from) + index * sizeof element, sizeof element);
    return octavo::cpu::ToFloat(element);
  };
  if (type == kReal32) return read(float());
  if (type == kRealB16) return read(octavo::cpu::BFloat16());
  return read(octavo::cpu::Float16());
}

void Write(float value, void* to, DataType type, int64_t index) {
  const auto write = [&](auto element) {
    octavo::cpu::FromFloat(value, &element);
    std::memcpy(static_cast<char*>(to) + index * sizeof element, &element, sizeof element);
  };
  if (type == kReal32) return write(float());
  if (type == kRealB16) return write(octavo::cpu::BFloat16());
  write(octavo::cpu::Float16());
}

const FakeLayout& LayoutOf(Layout layout) { return *static_cast<FakeLayout*>(layout); }

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT size_t cublasLtGetVersion() { return 130102; }
EXPORT Status cublasLtCreate(Handle* handle) {
  *handle = new int(0);
  return 0;
}
EXPORT Status cublasLtDestroy(Handle handle) {
  delete static_cast<int*>(handle);
  return 0;
}
EXPORT Status cublasLtMatmulDescCreate(Description* to, ComputeType compute, DataType scale) {
  if (compute != kCompute32 || scale != kReal32) return kInvalid;
  *to = new FakeDescription;
  return 0;
}
EXPORT Status cublasLtMatmulDescDestroy(Description description) {
  delete static_cast<FakeDescription*>(description);
  return 0;
}
EXPORT Status cublasLtMatmulDescSetAttribute(Description to, DescriptionAttribute attribute,
                                             const void* from, size_t bytes) {
  auto* description = static_cast<FakeDescription*>(to);
  const auto set = [&](auto* member) {
    if (bytes != sizeof *member) return kInvalid;
    std::memcpy(member, from, bytes);
    return 0;
  };
  switch (attribute) {
    case kTransposeA: return set(&description->transpose_a);
    case kEpilogue: return set(&description->epilogue);
    case kBiasPointer: return set(&description->bias);
    case kBiasType: return set(&description->bias_type);
  }
  return kInvalid;
}
EXPORT Status cublasLtMatrixLayoutCreate(Layout* to, DataType type, uint64_t rows, uint64_t columns,
                                         int64_t leading) {
  *to = new FakeLayout{type, rows, columns, leading};
  return 0;
}
EXPORT Status cublasLtMatrixLayoutDestroy(Layout layout) {
  delete static_cast<FakeLayout*>(layout);
  return 0;
}
EXPORT Status cublasLtMatmulPreferenceCreate(Preference* to) {
  *to = new int(0);
  return 0;
}
EXPORT Status cublasLtMatmulPreferenceDestroy(Preference preference) {
  delete static_cast<int*>(preference);
  return 0;
}
EXPORT Status cublasLtMatmulPreferenceSetAttribute(Preference, PreferenceAttribute attribute,
                                                   const void*, size_t bytes) {
  return bytes == (attribute == kMostWorkspace ? sizeof(uint64_t) : sizeof(uint32_t)) ? 0
                                                                                      : kInvalid;
}
EXPORT Status cublasLtMatmulAlgoGetHeuristic(Handle, Description, Layout a, Layout, Layout, Layout,
                                             Preference, int, Choice* choice, int* found) {
  *found = LayoutOf(a).rows % 2 == 0 ? 1 : 0;
  choice->state = 0;
  choice->workspace = 1;
  return *found == 1 ? 0 : kNotSupported;
}

EXPORT Status cublasLtMatmul(Handle, Description description, const void* alpha, const void* a,
                             Layout a_layout, const void* b, Layout b_layout, const void* beta,
                             const void*, Layout, void* d, Layout d_layout, const Algorithm*,
                             void* workspace, size_t workspace_bytes, void*) {
  const auto& described = *static_cast<FakeDescription*>(description);
  const bool adds = described.epilogue == kAddBias;
  const char* told = std::getenv("OCTAVO_FAKE_CUBLASLT");
  const std::string fails = told == nullptr ? "" : told;
  if (fails == "fail" || (adds && fails == "fail bias")) return kFailed;
  const FakeLayout &left = LayoutOf(a_layout), &right = LayoutOf(b_layout);
  const FakeLayout& out = LayoutOf(d_layout);
  const bool fits = left.rows == right.rows && left.columns == out.rows &&
                    right.columns == out.columns && workspace_bytes > 0;
  if (described.transpose_a != kTransposed || !fits) return kInvalid;
  if (adds && (described.bias == nullptr || described.bias_type != out.type)) return kInvalid;
  if (*static_cast<const float*>(alpha) != 1 || *static_cast<const float*>(beta) != 0)
    return kInvalid;
  std::memset(workspace, 0, 1);
  for (uint64_t column = 0; column < out.columns; ++column) {
    for (uint64_t row = 0; row < out.rows; ++row) {
      float sum = adds ? Read(described.bias, out.type, static_cast<int64_t>(row)) : 0;
      for (uint64_t k = 0; k < left.rows; ++k)
        sum += Read(a, left.type, row * left.leading + k) *
               Read(b, right.type, column * right.leading + k);
      Write(sum, d, out.type, column * out.leading + row);
    }
  }
  return 0;
}
