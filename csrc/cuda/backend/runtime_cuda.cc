#include <cuda_runtime_api.h>
#ifndef _WIN32
#include <glob.h>
#endif

#include <cstdlib>
#include <stdexcept>

#include "runtime.h"

namespace octavo::cuda {
namespace {

std::string Reason(cudaError_t error) {
  return std::string(cudaGetErrorString(error)) + " (" + cudaGetErrorName(error) + ")";
}

void Check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  if (error == cudaErrorMemoryAllocation)
    throw std::runtime_error(std::string(what) + ": the GPU is out of memory");
  throw std::runtime_error(std::string(what) + ": " + Reason(error));
}

#ifndef _WIN32
std::vector<std::string> Matches(const std::string& pattern) {
  glob_t found{};
  std::vector<std::string> paths;
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  return paths;
}

// Where pip puts packages: in an environment, a user's home, or for all.
std::vector<std::string> PackageFolders() {
  const std::string packages = "/lib/python3*/site-packages";
  std::vector<std::string> folders;
  for (const char* variable : {"VIRTUAL_ENV", "CONDA_PREFIX"})
    if (const char* environment = std::getenv(variable)) folders.push_back(environment + packages);
  if (const char* home = std::getenv("HOME")) folders.push_back(home + ("/.local" + packages));
  folders.insert(folders.end(), {"/usr/local" + packages, "/usr/local/lib/python3*/dist-packages"});
  return folders;
}
#endif

cudaStream_t Native(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }
cudaEvent_t Event(void* event) { return static_cast<cudaEvent_t>(event); }

}  // namespace

std::string WhyUnavailable() {
  int count = 0, driver = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaSuccess && count > 0) return "";
  cudaDriverGetVersion(&driver);
  const std::string looked = "looked for an NVIDIA driver (libcuda.so.1, nvcuda.dll): ";
  if (driver == 0) return looked + "there is none";
  return looked + "found one for CUDA " + std::to_string(driver / 1000) + "." +
         std::to_string(driver % 1000 / 10) + "; looked for a GPU: " +
         (error == cudaSuccess ? "there is none" : cudaGetErrorString(error));
}

DeviceInfo QueryDevice() {
  UseDevice();
  cudaDeviceProp properties;
  Check(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  DeviceInfo info;
  info.name = std::string(properties.name) + ", sm_" + std::to_string(properties.major) +
              std::to_string(properties.minor);
  info.multiprocessors = properties.multiProcessorCount;
  int kilohertz = 0, bits = 0;
  if (cudaDeviceGetAttribute(&kilohertz, cudaDevAttrMemoryClockRate, 0) == cudaSuccess &&
      cudaDeviceGetAttribute(&bits, cudaDevAttrGlobalMemoryBusWidth, 0) == cudaSuccess)
    info.peak_bandwidth = 2e3 * kilohertz * bits / 8;  // two transfers a clock
  Check(cudaMemGetInfo(&info.free_bytes, &info.total_bytes), "cudaMemGetInfo");
  return info;
}

void UseDevice() { Check(cudaSetDevice(0), "cudaSetDevice"); }

void FreeDevice::operator()(void* pointer) const { cudaFree(pointer); }
void FreePinned::operator()(void* pointer) const { cudaFreeHost(pointer); }

DevicePointer AllocateDevice(size_t bytes) {
  void* pointer = nullptr;
  Check(cudaMalloc(&pointer, bytes), "cudaMalloc");
  return DevicePointer(pointer);
}

PinnedPointer AllocatePinned(size_t bytes) {
  void* pointer = nullptr;
  Check(cudaHostAlloc(&pointer, bytes, cudaHostAllocPortable | cudaHostAllocMapped),
        "cudaHostAlloc");
  return PinnedPointer(pointer);
}

void DestroyStream::operator()(void* stream) const { cudaStreamDestroy(Native(stream)); }

StreamPointer CreateStream() {
  cudaStream_t stream = nullptr;
  Check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  return StreamPointer(stream);
}

void CopyToDevice(void* to, const void* from, size_t bytes, Stream stream) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, Native(stream)),
        "a copy to the GPU");
}
void CopyToHost(void* to, const void* from, size_t bytes, Stream stream) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, Native(stream)),
        "a copy from the GPU");
}
void CopyOnDevice(void* to, const void* from, size_t bytes, Stream stream) {
  Check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, Native(stream)),
        "a copy on the GPU");
}
void Clear(void* device, size_t bytes, Stream stream) {
  Check(cudaMemsetAsync(device, 0, bytes, Native(stream)), "cudaMemsetAsync");
}
void Wait(Stream stream) { Check(cudaStreamSynchronize(Native(stream)), "the GPU"); }
bool IsIdle(Stream stream) { return cudaStreamQuery(Native(stream)) == cudaSuccess; }
void Drain(Stream stream) noexcept { cudaStreamSynchronize(Native(stream)); }
std::string WhyFailed(Stream stream) noexcept {
  const cudaError_t error = cudaStreamSynchronize(Native(stream));
  return error == cudaSuccess ? "" : "the GPU: " + Reason(error);
}

void DestroyEvent::operator()(void* event) const { cudaEventDestroy(Event(event)); }

EventPointer CreateEvent() {
  cudaEvent_t event = nullptr;
  Check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "cudaEventCreate");
  return EventPointer(event);
}
void Record(void* event, Stream stream) {
  Check(cudaEventRecord(Event(event), Native(stream)), "cudaEventRecord");
}
void WaitInStream(void* event, Stream stream) {
  Check(cudaStreamWaitEvent(Native(stream), Event(event), 0), "cudaStreamWaitEvent");
}
void WaitOnHost(void* event) { Check(cudaEventSynchronize(Event(event)), "the GPU"); }
bool IsReached(void* event) { return cudaEventQuery(Event(event)) != cudaErrorNotReady; }

void DestroyGraph::operator()(void* graph) const {
  cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

// Relaxed: the driver and cuBLASLt load a kernel, and may allocate, when it is first launched,
// which other modes forbid. What must not happen within a capture the emulator knows.
void BeginCapture(Stream stream) {
  Check(cudaStreamBeginCapture(Native(stream), cudaStreamCaptureModeRelaxed),
        "cudaStreamBeginCapture");
}

GraphPointer EndCapture(Stream stream) {
  cudaGraph_t graph = nullptr;
  Check(cudaStreamEndCapture(Native(stream), &graph), "cudaStreamEndCapture");
  cudaGraphExec_t ready = nullptr;
  const cudaError_t error = cudaGraphInstantiate(&ready, graph, 0);
  cudaGraphDestroy(graph);
  Check(error, "cudaGraphInstantiate");
  return GraphPointer(ready);
}

void AbandonCapture(Stream stream) noexcept {
  cudaGraph_t graph = nullptr;
  if (cudaStreamEndCapture(Native(stream), &graph) == cudaSuccess) cudaGraphDestroy(graph);
}

void Submit(void* graph, Stream stream) {
  Check(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), Native(stream)), "cudaGraphLaunch");
}

void SubmitCall(Stream, std::function<void()> call) { call(); }

// Where the system finds libraries, the toolkit's folder, and pip's packages.
std::vector<std::string> CublasLtFiles() {
#ifdef _WIN32
  return {"cublasLt64_13.dll", "cublasLt64_12.dll"};
#else
  std::vector<std::string> files;
  for (const char* version : {"13", "12"}) {
    const std::string name = std::string("libcublasLt.so.") + version;
    files.push_back(name);
    for (const char* variable : {"CUDA_HOME", "CUDA_PATH"})
      if (const char* folder = std::getenv(variable)) files.push_back(folder + ("/lib64/" + name));
    files.push_back("/usr/local/cuda/lib64/" + name);
    for (const std::string& folder : PackageFolders())
      for (const char* package : {"cu13", "cublas"})
        for (const std::string& found : Matches(folder + "/nvidia/" + package + "/lib/" + name))
          files.push_back(found);
  }
  return files;
#endif
}

}  // namespace octavo::cuda
