// Matrix products by NVIDIA's cuBLASLt, where the machine has it (docs/cuda.md).
#pragma once

#include <map>
#include <memory>
#include <string>
#include <tuple>

#include "../kernels/launchers.h"
#include "cublas_lt_api.h"
#include "runtime.h"

namespace octavo::cuda {

class CublasLt {
 public:
  // Null where there is none. OCTAVO_CUBLASLT names the file, or is 0: none is used. Throws where
  // the file that it names is no cuBLASLt.
  static std::unique_ptr<CublasLt> Open();
  ~CublasLt();
  CublasLt(const CublasLt&) = delete;
  CublasLt& operator=(const CublasLt&) = delete;

  std::string Version() const;  // "13.1.0"

  // Submits the product; false where the library has no way to do it, and nothing was submitted.
  // The first call for each shape asks the library and may take some milliseconds. May be captured.
  // `bias` is that of args, [n] of out_type, as the library wants it; null: none.
  bool Linear(const LinearArgs& args, const void* bias, Stream stream);

 private:
  struct Product;  // a shape, made ready
  using Shape = std::tuple<int, int, int, Type, Type, bool>;

  explicit CublasLt(const cublas_lt::Functions& functions);
  std::shared_ptr<const Product> Prepare(const LinearArgs& args, const void* bias) const;

  void Describe(const Product& product, cublas_lt::DescriptionAttribute attribute,
                const void* value, size_t bytes) const;

  cublas_lt::Functions functions_;
  cublas_lt::Handle handle_ = nullptr;
  DevicePointer workspace_;
  std::map<Shape, std::shared_ptr<const Product>> products_;  // null: the library has none
};

}  // namespace octavo::cuda
