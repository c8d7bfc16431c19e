// Tests the emulator of CUDA (csrc/cuda/emulation): kernels that are right give the right result,
// and kernels that are broken in one way each are caught. Prints the first check that fails and
// ends with 1.
#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "check.h"
#include "cuda/backend/runtime.h"
#include "cuda/kernels/divisor.h"
#include "cuda/kernels/tensor_core.cuh"
#include "cuda/kernels/warp.cuh"

namespace octavo::cuda {
namespace {

constexpr int kThreads = 64;

template <class Kernel>
void Run(Kernel kernel, float* out, size_t shared_bytes = 4096) {
  emulation::RunGrid("test", 1, kThreads, shared_bytes, [&] { kernel(out); });
}

// What a kernel's failure says; empty where it did not fail.
template <class Kernel>
std::string FailureOf(Kernel kernel) {
  std::vector<float> out(1024);
  try {
    Run(kernel, out.data());
  } catch (const std::exception& error) {
    return error.what();
  }
  return "";
}

bool Has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

void TestBarriersAndShufflesWork() {
  std::vector<float> out(kThreads);
  Run(
      [](float* to) {
        const auto scratch = Shared<float>(0, kThreads / kWarp);
        to[threadIdx.x] = ReduceBlock(static_cast<float>(threadIdx.x), Add(), scratch);
      },
      out.data());
  for (const float sum : out) CHECK(sum == kThreads * (kThreads - 1) / 2);
}

void TestBarrierThatSomeSkipIsCaught() {
  CHECK(Has(FailureOf([](float*) {
              if (threadIdx.x < 40) __syncthreads();
            }),
            "left the kernel"));
  const auto two_barriers = [](float*) {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  };
  CHECK(Has(FailureOf(two_barriers), "while others wait at"));
  CHECK(Has(FailureOf([](float*) {
              if (threadIdx.x % 32 < 16) __syncwarp();
            }),
            "left the kernel"));
}

void TestMaskOfOthersIsCaught() {
  CHECK(Has(FailureOf([](float*) {
              if (threadIdx.x == 5) __syncwarp(1u);
            }),
            "not in its own mask"));
}

void TestAccessOutOfBoundsIsCaught() {
  CHECK(Has(FailureOf([](float*) {
              const auto array = Shared<float>(0, 63);
              array[threadIdx.x] = 1;
            }),
            "element 63 of an array of 63"));
  CHECK(Has(FailureOf([](float* to) {
              const auto array = Shared<float>(0, 64);
              array[threadIdx.x] = 1;
              __syncthreads();
              to[threadIdx.x] = array[static_cast<int>(threadIdx.x) - 1];
            }),
            "element -1 of an array"));
  CHECK(Has(FailureOf([](float*) { Shared<float>(4080, 64)[0] = 1; }), "the launch gave 4096"));
}

void TestRaceIsCaught() {
  const auto neighbour = [](float* to) {
    const auto array = Shared<float>(0, kThreads);
    array[threadIdx.x] = 1;
    to[threadIdx.x] = array[(threadIdx.x + 1) % kThreads];
  };
  CHECK(Has(FailureOf(neighbour), "never written") || Has(FailureOf(neighbour), "a race"));
  CHECK(Has(FailureOf([](float*) { Shared<float>(0, 1)[0] = static_cast<float>(threadIdx.x); }),
            "a race, write after write of thread 0"));
  CHECK(Has(FailureOf([](float* to) {
              const auto array = Shared<float>(0, kThreads);
              array[threadIdx.x] = 1;
              __syncthreads();
              to[threadIdx.x] = array[(threadIdx.x + 1) % kThreads];
              array[threadIdx.x] = 2;  // another may not have read it yet
            }),
            "a race, write after read"));
}

void TestWarpBarrierOrdersItsWarpOnly() {
  CHECK(FailureOf([](float* to) {
          const auto array = Shared<float>(0, kThreads);
          array[threadIdx.x] = 1;
          __syncwarp();
          to[threadIdx.x] = array[threadIdx.x ^ 1u];
        }).empty());
  CHECK(Has(FailureOf([](float* to) {
              const auto array = Shared<float>(0, kThreads);
              array[threadIdx.x] = 1;
              __syncwarp();
              to[threadIdx.x] = threadIdx.x < 32 ? 0 : float(array[threadIdx.x - 32]);
            }),
            "a race, read after write of thread"));
}

void TestReadOfWhatNobodyWroteIsCaught() {
  CHECK(Has(FailureOf([](float* to) { to[threadIdx.x] = Shared<float>(0, kThreads)[threadIdx.x]; }),
            "never written"));
}

alignas(16) const float kSource[4 * kThreads] = {1, 2, 3, 4};

void TestCopyThatNobodyWaitedForIsCaught() {
  CHECK(FailureOf([](float* to) {
          const auto array = Shared<float>(0, 4 * kThreads);
          CopyAsync(array + 4 * threadIdx.x, kSource + 4 * threadIdx.x, true);
          CommitCopies();
          WaitForCopies<0>();
          __syncthreads();
          to[threadIdx.x] = array[0];
        }).empty());
  CHECK(Has(FailureOf([](float* to) {
              const auto array = Shared<float>(0, 4 * kThreads);
              CopyAsync(array + 4 * threadIdx.x, kSource + 4 * threadIdx.x, true);
              CommitCopies();
              WaitForCopies<1>();
              __syncthreads();
              to[threadIdx.x] = array[4 * threadIdx.x];
            }),
            "asynchronous copy before its end"));
}

// One product of 16 × 16 and 16 × 8, by one of two warps. `tile` says what lanes name to
// LoadMatrix.
template <bool kRightLayout>
void Multiply(float* to) {
  const auto a = Shared<BFloat16>(0, 16 * 24), b = Shared<BFloat16>(16 * 24 * 2, 16 * 24);
  for (int i = threadIdx.x; i < 256; i += kThreads) {
    a[i / 16 * 24 + i % 16] = Rounded<BFloat16>(static_cast<float>(i % 7 + i / 16));
    b[i / 16 * 24 + i % 16] =
        Rounded<BFloat16>(static_cast<float>(i % 5) - static_cast<float>(i / 16));
  }
  __syncthreads();
  if (threadIdx.x >= kWarp) return;
  const int lane = threadIdx.x;
  const LaneTile left = LeftTile(lane), right = kRightLayout ? RightTile(lane) : LeftTile(lane);
  uint32_t x[4], y[4];
  LoadMatrix(x, a + (left.row * 24 + left.column));
  LoadMatrix(y, b + (right.row * 24 + right.column));
  float sums[4] = {};
  MultiplyAdd<BFloat16>(sums, x, y);
  for (int i = 0; i < 4; ++i) to[(lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
}

// Results that differ from those of plain loops; b is stored by its columns.
int Differences(const std::vector<float>& found) {
  int differences = 0;
  for (int row = 0; row < 16; ++row) {
    for (int column = 0; column < 8; ++column) {
      float sum = 0;
      for (int k = 0; k < 16; ++k) {
        const int i = row * 16 + k, j = column * 16 + k;
        sum += static_cast<float>(i % 7 + row) *
               (static_cast<float>(j % 5) - static_cast<float>(column));
      }
      if (found[row * 8 + column] != sum) ++differences;
    }
  }
  return differences;
}

void TestFragmentsHaveTheirDocumentedLayout() {
  std::vector<float> out(128);
  Run(Multiply<true>, out.data());
  CHECK(Differences(out) == 0);
  Run(Multiply<false>, out.data());
  CHECK(Differences(out) > 64);
}

void TestGraphIsRunOnlyWhereItIsSubmitted() {
  const StreamPointer stream = CreateStream();
  std::vector<float> out(kThreads, -1);
  BeginCapture(stream.get());
  int32_t word = 0;
  const auto kernel = +[](Mark mark, float* to) {
    Leave(mark);
    to[threadIdx.x] += 1;
  };
  Launch("test", kernel, 1, kThreads, 0, {stream.get(), {&word, 7}}, out.data());
  CHECK(out[0] == -1);
  const GraphPointer graph = EndCapture(stream.get());
  CHECK(out[0] == -1);
  Submit(graph.get(), stream.get());
  Submit(graph.get(), stream.get());
  CHECK(out[0] == -1);  // nobody waits yet
  Wait(stream.get());
  CHECK(out[0] == 1 && out[kThreads - 1] == 1);
  CHECK(word == 7);
}

void TestMarkThatIsNotLeftIsCaught() {
  const StreamPointer stream = CreateStream();
  int32_t word = 0;
  const auto kernel = +[](Mark) {};
  try {
    Launch("test", kernel, 1, kThreads, 0, {stream.get(), {&word, 7}});
    Wait(stream.get());
  } catch (const std::exception& error) {
    word = Has(error.what(), "kernel test left no mark") ? 1 : 2;
  }
  CHECK(word == 1);
}

// What the host sees of a copy to the device and back, if it writes the source in between.
float CopiedAcross(float* source, Stream stream) {
  const DevicePointer device = AllocateDevice(sizeof(float));
  const PinnedPointer back = AllocatePinned(sizeof(float));
  *source = 1;
  CopyToDevice(device.get(), source, sizeof(float), stream);
  *source = 2;
  CopyToHost(back.get(), device.get(), sizeof(float), stream);
  Wait(stream);
  return *static_cast<float*>(back.get());
}

void TestPinnedMemoryIsReadAsLateAsOnAGpu() {
  const StreamPointer stream = CreateStream();
  const PinnedPointer shared = AllocatePinned(sizeof(float));
  float own = 0;
  CHECK(CopiedAcross(static_cast<float*>(shared.get()), stream.get()) == 2);
  CHECK(CopiedAcross(&own, stream.get()) == 1);  // copied before the call returned
}

// Whether a second stream ever reads what the first has yet to write.
bool ReadsTooEarly(bool waits) {
  const StreamPointer first = CreateStream(), second = CreateStream();
  const EventPointer written = CreateEvent();
  const DevicePointer device = AllocateDevice(sizeof(float));
  const PinnedPointer source = AllocatePinned(sizeof(float)), read = AllocatePinned(sizeof(float));
  bool early = false;
  for (int i = 0; i < 50; ++i) {
    *static_cast<float*>(source.get()) = static_cast<float>(i);
    CopyToDevice(device.get(), source.get(), sizeof(float), first.get());
    Record(written.get(), first.get());
    if (waits) WaitInStream(written.get(), second.get());
    CopyToHost(read.get(), device.get(), sizeof(float), second.get());
    Wait(second.get());
    Wait(first.get());
    early = early || *static_cast<float*>(read.get()) != static_cast<float>(i);
  }
  return early;
}

void TestStreamsRunInAnyOrderButThatOfEvents() {
  CHECK(ReadsTooEarly(false));
  CHECK(!ReadsTooEarly(true));
}

void TestEventIsReachedOnceItsWorkIsDone() {
  const StreamPointer stream = CreateStream();
  const EventPointer event = CreateEvent();
  const DevicePointer device = AllocateDevice(16);
  CHECK(IsReached(event.get()));  // none was recorded
  for (int i = 0; i < 3; ++i) Clear(device.get(), 16, stream.get());
  Record(event.get(), stream.get());
  CHECK(!IsReached(event.get()));
  int asked = 1;
  while (!IsReached(event.get())) ++asked;
  CHECK(asked > 1 && asked < 10);
}

void TestMemoryIsNotTakenWithinACapture() {
  const StreamPointer stream = CreateStream();
  BeginCapture(stream.get());
  std::string failure;
  try {
    AllocateDevice(16);
  } catch (const std::exception& error) {
    failure = error.what();
  }
  AbandonCapture(stream.get());
  CHECK(Has(failure, "cudaMalloc while a stream is captured"));
}

void TestTooMuchSharedMemoryAndOddPacksAreCaught() {
  std::string failure;
  try {
    emulation::RunGrid("test", 1, kThreads, 99 * 1024 + 16, [] {});
  } catch (const std::exception& error) {
    failure = error.what();
  }
  CHECK(Has(failure, "shared memory"));
  CHECK(Has(FailureOf([](float* to) { LoadPack<4>(to + 1); }), "an odd address"));
}

void TestDivisorsDivideAsProcessorsDo() {
  constexpr int kMost = std::numeric_limits<int>::max();
  std::vector<int> numbers;
  for (int power = 1; power > 0 && power <= kMost / 2; power *= 2)
    for (const int near : {-1, 0, 1}) numbers.push_back(power + near);
  for (const int number : {5, 7, 10, 48, 96, 100, 641, 28672, 128256, kMost / 3, kMost - 1, kMost})
    numbers.push_back(number);
  for (const int d : numbers) {
    if (d == 0) continue;
    const Divisor divisor(d);
    const auto check = [&](int64_t n) {
      if (n < 0 || n > kMost) return;
      const int number = static_cast<int>(n);
      CHECK(number / divisor == number / d && number % divisor == number % d);
    };
    for (const int n : numbers) check(n);
    for (const int64_t quotient : {1, 2, 3, 1000, kMost / d - 1, kMost / d})
      for (const int near : {-1, 0, 1}) check(quotient * d + near);
  }
}

}  // namespace
}  // namespace octavo::cuda

int main() {
  using namespace octavo::cuda;
  TestBarriersAndShufflesWork();
  TestBarrierThatSomeSkipIsCaught();
  TestMaskOfOthersIsCaught();
  TestAccessOutOfBoundsIsCaught();
  TestRaceIsCaught();
  TestWarpBarrierOrdersItsWarpOnly();
  TestReadOfWhatNobodyWroteIsCaught();
  TestCopyThatNobodyWaitedForIsCaught();
  TestFragmentsHaveTheirDocumentedLayout();
  TestGraphIsRunOnlyWhereItIsSubmitted();
  TestMarkThatIsNotLeftIsCaught();
  TestPinnedMemoryIsReadAsLateAsOnAGpu();
  TestStreamsRunInAnyOrderButThatOfEvents();
  TestEventIsReachedOnceItsWorkIsDone();
  TestMemoryIsNotTakenWithinACapture();
  TestTooMuchSharedMemoryAndOddPacksAreCaught();
  TestDivisorsDivideAsProcessorsDo();
  std::printf("the emulator catches what is broken\n");
  return 0;
}
