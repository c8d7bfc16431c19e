// What is called of cuBLASLt 12 and 13, declared here: it is found at run time, and building needs
// none of its headers. test/native/cublas_lt_api_test.cc compares with NVIDIA's, where they are.
#pragma once

#include <cstddef>
#include <cstdint>

namespace octavo::cuda::cublas_lt {

using Status = int;  // 0: success
using Handle = void*;
using Description = void*;  // of a product
using Layout = void*;       // of a matrix, whose columns are contiguous
using Preference = void*;

enum DataType { kReal32 = 0, kReal16 = 2, kRealB16 = 14 };
enum ComputeType { kCompute32 = 68 };
enum Operation { kTransposed = 1 };
enum DescriptionAttribute {
  kTransposeA = 3,
  kEpilogue = 7,
  kBiasPointer = 8,
  kBiasType = 26,
};
enum Epilogue { kAddBias = 4 };
enum PreferenceAttribute { kMostWorkspace = 1, kAlignmentB = 6, kAlignmentC = 7, kAlignmentD = 8 };

struct Algorithm {
  uint64_t data[8];
};

struct Choice {
  Algorithm algorithm;
  size_t workspace;
  Status state;
  float waves;
  int reserved[4];
};

// The functions, by their names in the library.
struct Functions {
  size_t (*cublasLtGetVersion)();
  Status (*cublasLtCreate)(Handle*);
  Status (*cublasLtDestroy)(Handle);
  Status (*cublasLtMatmulDescCreate)(Description*, ComputeType, DataType scale);
  Status (*cublasLtMatmulDescDestroy)(Description);
  Status (*cublasLtMatmulDescSetAttribute)(Description, DescriptionAttribute, const void*, size_t);
  Status (*cublasLtMatrixLayoutCreate)(Layout*, DataType, uint64_t rows, uint64_t columns,
                                       int64_t leading);
  Status (*cublasLtMatrixLayoutDestroy)(Layout);
  Status (*cublasLtMatmulPreferenceCreate)(Preference*);
  Status (*cublasLtMatmulPreferenceDestroy)(Preference);
  Status (*cublasLtMatmulPreferenceSetAttribute)(Preference, PreferenceAttribute, const void*,
                                                 size_t);
  Status (*cublasLtMatmulAlgoGetHeuristic)(Handle, Description, Layout a, Layout b, Layout c,
                                           Layout d, Preference, int wanted, Choice*, int* found);
  Status (*cublasLtMatmul)(Handle, Description, const void* alpha, const void* a, Layout,
                           const void* b, Layout, const void* beta, const void* c, Layout, void* d,
                           Layout, const Algorithm*, void* workspace, size_t bytes, void* stream);
};

}  // namespace octavo::cuda::cublas_lt
