// Compiles where cublas_lt_api.h declares what NVIDIA's header does.
#include "cuda/backend/cublas_lt_api.h"

#include <cublasLt.h>

namespace ours = octavo::cuda::cublas_lt;

#define SAME(a, b) static_assert(static_cast<int>(a) == static_cast<int>(b), #b)
SAME(ours::kReal32, CUDA_R_32F);
SAME(ours::kReal16, CUDA_R_16F);
SAME(ours::kRealB16, CUDA_R_16BF);
SAME(ours::kCompute32, CUBLAS_COMPUTE_32F);
SAME(ours::kTransposed, CUBLAS_OP_T);
SAME(ours::kTransposeA, CUBLASLT_MATMUL_DESC_TRANSA);
SAME(ours::kEpilogue, CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME(ours::kBiasPointer, CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME(ours::kBiasType, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE);
SAME(ours::kAddBias, CUBLASLT_EPILOGUE_BIAS);
SAME(ours::kMostWorkspace, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME(ours::kAlignmentB, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME(ours::kAlignmentC, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME(ours::kAlignmentD, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME(0, CUBLAS_STATUS_SUCCESS);
SAME(sizeof(ours::Status), sizeof(cublasStatus_t));
SAME(sizeof(ours::DataType), sizeof(cudaDataType));
SAME(sizeof(ours::Algorithm), sizeof(cublasLtMatmulAlgo_t));
SAME(sizeof(ours::Choice), sizeof(cublasLtMatmulHeuristicResult_t));
SAME(offsetof(ours::Choice, workspace), offsetof(cublasLtMatmulHeuristicResult_t, workspaceSize));
SAME(offsetof(ours::Choice, state), offsetof(cublasLtMatmulHeuristicResult_t, state));

// As the ABI passes them: handles are pointers, and enumerations are integers.
template <class Parameter>
struct Passed {
  using Type = Parameter;
};
template <class Pointed>
struct Passed<Pointed*> {
  using Type = void*;
};
template <class Parameter, bool = std::is_enum_v<Parameter>>
struct Integer : Passed<Parameter> {};
template <class Parameter>
struct Integer<Parameter, true> {
  using Type = int;
};
template <class Function>
struct Signature;
template <class Result, class... Parameters>
struct Signature<Result (*)(Parameters...)> {
  using Type = typename Integer<Result>::Type (*)(typename Integer<Parameters>::Type...);
};
#define SAME_CALL(name)                                                          \
  static_assert(std::is_same_v<Signature<decltype(ours::Functions::name)>::Type, \
                               Signature<decltype(&::name)>::Type>,              \
                #name)
SAME_CALL(cublasLtGetVersion);
SAME_CALL(cublasLtCreate);
SAME_CALL(cublasLtDestroy);
SAME_CALL(cublasLtMatmulDescCreate);
SAME_CALL(cublasLtMatmulDescDestroy);
SAME_CALL(cublasLtMatmulDescSetAttribute);
SAME_CALL(cublasLtMatrixLayoutCreate);
SAME_CALL(cublasLtMatrixLayoutDestroy);
SAME_CALL(cublasLtMatmulPreferenceCreate);
SAME_CALL(cublasLtMatmulPreferenceDestroy);
SAME_CALL(cublasLtMatmulPreferenceSetAttribute);
SAME_CALL(cublasLtMatmulAlgoGetHeuristic);
SAME_CALL(cublasLtMatmul);
