#include "cublas_lt.h"

#include <cstdlib>
#include <stdexcept>

namespace octavo::cuda {
namespace {

using namespace cublas_lt;

constexpr size_t kWorkspaceBytes = size_t{32} << 20;

DataType DataTypeOf(Type type) {
  switch (type) {
    case Type::kFloat32: return kReal32;
    case Type::kBFloat16: return kRealB16;
    case Type::kFloat16: return kReal16;
  }
  throw std::runtime_error(std::string("cuBLASLt: no elements of ") + NameOf(type));
}

void Check(Status status, const char* call) {
  if (status != 0)
    throw std::runtime_error(std::string(call) + ": cuBLAS status " + std::to_string(status));
}

// False if the library lacks one.
bool FindFunctions(void* library, Functions* found) {
  const auto find = [&](auto* function, const char* name) {
    *function =
        reinterpret_cast<std::remove_reference_t<decltype(*function)>>(FindSymbol(library, name));
    return *function != nullptr;
  };
#define OCTAVO_FIND(name) find(&found->name, #name)
  return OCTAVO_FIND(cublasLtGetVersion) && OCTAVO_FIND(cublasLtCreate) &&
         OCTAVO_FIND(cublasLtDestroy) && OCTAVO_FIND(cublasLtMatmulDescCreate) &&
         OCTAVO_FIND(cublasLtMatmulDescDestroy) && OCTAVO_FIND(cublasLtMatmulDescSetAttribute) &&
         OCTAVO_FIND(cublasLtMatrixLayoutCreate) && OCTAVO_FIND(cublasLtMatrixLayoutDestroy) &&
         OCTAVO_FIND(cublasLtMatmulPreferenceCreate) &&
         OCTAVO_FIND(cublasLtMatmulPreferenceDestroy) &&
         OCTAVO_FIND(cublasLtMatmulPreferenceSetAttribute) &&
         OCTAVO_FIND(cublasLtMatmulAlgoGetHeuristic) && OCTAVO_FIND(cublasLtMatmul);
#undef OCTAVO_FIND
}

}  // namespace

// The library sees matrices by columns: outᵀ [n, rows] = weight [n, k] × inputᵀ [k, rows], where
// the weight comes transposed.
struct CublasLt::Product {
  explicit Product(const Functions& of) : functions(of) {}
  ~Product() {
    for (const Layout layout : {weight, input, out})
      if (layout != nullptr) functions.cublasLtMatrixLayoutDestroy(layout);
    if (description != nullptr) functions.cublasLtMatmulDescDestroy(description);
    if (preference != nullptr) functions.cublasLtMatmulPreferenceDestroy(preference);
  }
  Product(const Product&) = delete;
  Product& operator=(const Product&) = delete;

  const Functions& functions;
  Description description = nullptr;
  Preference preference = nullptr;
  Layout weight = nullptr, input = nullptr, out = nullptr;
  Choice choice{};
};

std::unique_ptr<CublasLt> CublasLt::Open() {
  const char* named = std::getenv("OCTAVO_CUBLASLT");
  if (named != nullptr && std::string(named) == "0") return nullptr;
  const auto files = named == nullptr ? CublasLtFiles() : std::vector<std::string>{named};
  for (const std::string& file : files) {
    void* library = OpenLibrary(file);
    Functions functions{};
    if (library != nullptr && FindFunctions(library, &functions))
      return std::unique_ptr<CublasLt>(new CublasLt(functions));
    if (library != nullptr) CloseLibrary(library);
  }
  if (named != nullptr)
    throw std::runtime_error(std::string("OCTAVO_CUBLASLT: '") + named +
                             "' is no cuBLASLt library that can be loaded");
  return nullptr;
}

CublasLt::CublasLt(const Functions& functions) : functions_(functions) {
  Check(functions_.cublasLtCreate(&handle_), "cublasLtCreate");
  workspace_ = AllocateDevice(kWorkspaceBytes);
}

// The library stays loaded: what it registered with the driver lives as long as the process, and
// the next engine would load hundreds of megabytes again.
CublasLt::~CublasLt() {
  products_.clear();
  if (handle_ != nullptr) functions_.cublasLtDestroy(handle_);
}

std::string CublasLt::Version() const {
  const size_t number = functions_.cublasLtGetVersion();
  const size_t major = number / 10000;
  return std::to_string(major) + '.' + std::to_string(number / 100 % 100) + '.' +
         std::to_string(number % 100);
}

std::shared_ptr<const CublasLt::Product> CublasLt::Prepare(const LinearArgs& args,
                                                           const void* bias) const {
  auto product = std::make_shared<Product>(functions_);
  const DataType type = DataTypeOf(args.type), out_type = DataTypeOf(args.out_type);
  const auto rows = static_cast<uint64_t>(args.rows);
  const auto n = static_cast<uint64_t>(args.n), k = static_cast<uint64_t>(args.k);
  Check(functions_.cublasLtMatmulDescCreate(&product->description, kCompute32, kReal32),
        "cublasLtMatmulDescCreate");
  const auto describe = [&](DescriptionAttribute attribute, auto value) {
    Describe(*product, attribute, &value, sizeof value);
  };
  describe(kTransposeA, int32_t{kTransposed});
  if (bias != nullptr) {
    describe(kEpilogue, uint32_t{kAddBias});
    describe(kBiasType, static_cast<int32_t>(out_type));
    describe(kBiasPointer, bias);
  }
  const auto lay_out = [&](Layout* layout, DataType of, uint64_t first, uint64_t second) {
    Check(functions_.cublasLtMatrixLayoutCreate(layout, of, first, second,
                                                static_cast<int64_t>(first)),
          "cublasLtMatrixLayoutCreate");
  };
  lay_out(&product->weight, type, k, n);
  lay_out(&product->input, type, k, rows);
  lay_out(&product->out, out_type, n, rows);
  Check(functions_.cublasLtMatmulPreferenceCreate(&product->preference),
        "cublasLtMatmulPreferenceCreate");
  const auto prefer = [&](PreferenceAttribute attribute, auto value) {
    Check(functions_.cublasLtMatmulPreferenceSetAttribute(product->preference, attribute, &value,
                                                          sizeof value),
          "cublasLtMatmulPreferenceSetAttribute");
  };
  prefer(kMostWorkspace, uint64_t{kWorkspaceBytes});
  constexpr uint32_t kArenaAlignment = 64;  // of a value; weights have 256, which is presumed
  for (const auto attribute : {kAlignmentB, kAlignmentC, kAlignmentD})
    prefer(attribute, kArenaAlignment);
  int found = 0;
  const Status status = functions_.cublasLtMatmulAlgoGetHeuristic(
      handle_, product->description, product->weight, product->input, product->out, product->out,
      product->preference, 1, &product->choice, &found);
  return status == 0 && found > 0 && product->choice.state == 0 ? product : nullptr;
}

void CublasLt::Describe(const Product& product, DescriptionAttribute attribute, const void* value,
                        size_t bytes) const {
  Check(functions_.cublasLtMatmulDescSetAttribute(product.description, attribute, value, bytes),
        "cublasLtMatmulDescSetAttribute");
}

bool CublasLt::Linear(const LinearArgs& args, const void* bias, Stream stream) {
  const Shape shape(args.rows, args.n, args.k, args.type, args.out_type, bias != nullptr);
  auto known = products_.find(shape);
  if (known == products_.end()) known = products_.emplace(shape, Prepare(args, bias)).first;
  const auto product = known->second;
  if (product == nullptr) return false;
  LeaveMark(stream);
  SubmitCall(stream, [this, product, args, bias, stream] {
    const float one = 1, zero = 0;
    // All matrices of a shape share the description, which is read during the call.
    if (bias != nullptr) Describe(*product, kBiasPointer, &bias, sizeof bias);
    Check(functions_.cublasLtMatmul(
              handle_, product->description, &one, args.weight, product->weight, args.input,
              product->input, &zero, args.out, product->out, args.out, product->out,
              &product->choice.algorithm, workspace_.get(), kWorkspaceBytes, stream.handle),
          "cublasLtMatmul");
  });
  return true;
}

}  // namespace octavo::cuda
