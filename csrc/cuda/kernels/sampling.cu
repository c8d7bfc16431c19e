// Draws a token from each row of logits, and reports log-probabilities, ranks and the likeliest
// tokens. A block a row, without a sort; greedy rows that report nothing are read once.
#include "dispatch.h"
#include "launchers.h"
#include "sampling.cuh"

namespace octavo::cuda {
namespace {

// One row of a step.
struct Row {
  const DeviceStep& step;
  const SampleInts& ints;
  SampleFloats floats;
  const float* logits;
  float* values;  // processed, then scaled, then truncated
  int vocab;
  SampleShared shared;
};

// Value and id of the first token by KeyOf's order, and id −1 where no value is a number above
// −infinity.
__device__ int FirstOf(const float* values, int count, const SampleShared& shared) {
  uint64_t best = 0;
  for (int id = threadIdx.x; id < count; id += blockDim.x)
    best = Larger()(best, KeyOf(values[id], id));
  best = ReduceBlock(best, Larger(), shared.sums);
  return best >> 32 == KeyOf(kRemoved, 0) >> 32 ? -1
                                                : static_cast<int>(~static_cast<uint32_t>(best));
}

__device__ __forceinline__ bool Allows(const uint32_t* mask, int words, int id) {
  return mask == nullptr || (id / 32 < words && (mask[id / 32] >> (id % 32) & 1u) != 0);
}

// Masks, then biases, then penalties.
__device__ void Process(const Row& row, const uint32_t* shared_mask) {
  const DeviceStep& step = row.step;
  const SampleInts& ints = row.ints;
  const uint32_t* mask =
      ints.mask < 0 ? nullptr : step.masks + static_cast<int64_t>(ints.mask) * step.mask_words;
  for (int id = threadIdx.x; id < row.vocab; id += blockDim.x) {
    const bool allowed =
        Allows(mask, step.mask_words, id) && Allows(shared_mask, step.mask_words, id);
    row.values[id] = allowed ? row.logits[id] : kRemoved;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < ints.bias_count; i += blockDim.x) {
    const int id = step.bias_ids[ints.bias_start + i];
    if (id >= 0 && id < row.vocab)
      AtomicAdd(row.values + id, step.bias_values[ints.bias_start + i]);  // an id may come twice
  }
  __syncthreads();
  for (int i = threadIdx.x; i < ints.penalty_count; i += blockDim.x) {
    const Penalty penalty = step.penalties[ints.penalty_start + i];
    if (penalty.token < 0 || penalty.token >= row.vocab) continue;
    float value = row.values[penalty.token];
    const float repetition = row.floats.repetition_penalty;
    if (penalty.output_count > 0 || penalty.in_prompt != 0)
      value = value > 0 ? value / repetition : value * repetition;
    value -= row.floats.frequency_penalty * static_cast<float>(penalty.output_count);
    if (penalty.output_count > 0) value -= row.floats.presence_penalty;
    row.values[penalty.token] = value;
  }
  __syncthreads();
}

__device__ void Keep(const Row& row, uint64_t least) {
  for (int id = threadIdx.x; id < row.vocab; id += blockDim.x)
    if (KeyOf(row.values[id], id) < least) row.values[id] = kRemoved;
  __syncthreads();
}

// Makes values (value − largest) / temperature, and −infinity where a limit removes the token.
__device__ void Truncate(const Row& row, float largest) {
  const SampleFloats& floats = row.floats;
  const float least = floats.min_p > 0 ? logf(floats.min_p) : kRemoved;
  __syncthreads();  // every thread has read `largest` out of the values that now change
  for (int id = threadIdx.x; id < row.vocab; id += blockDim.x) {
    // An infinite bias makes its tokens the only ones, and equally likely.
    const float value = row.values[id];
    float scaled = value == largest ? 0 : (value - largest) / floats.temperature;
    if (!(scaled >= least)) scaled = kRemoved;
    row.values[id] = scaled;
  }
  __syncthreads();
  const auto mass = [](float value) { return MassOf(value); };
  if (row.ints.top_k > 0 && row.ints.top_k < row.vocab) {
    const auto one = [](float) { return uint64_t{1}; };
    const auto needed = static_cast<uint64_t>(row.ints.top_k);
    Keep(row, SelectKey(row.values, row.vocab, needed, 4, row.shared, one));
  }
  if (floats.top_p < 1) {
    uint64_t total = 0;
    for (int id = threadIdx.x; id < row.vocab; id += blockDim.x) total += MassOf(row.values[id]);
    total = ReduceBlock(total, Add(), row.shared.sums);
    const auto part = static_cast<uint64_t>(ceil(floats.top_p * static_cast<double>(total)));
    const uint64_t needed = part > 0 ? part : 1;
    Keep(row, SelectKey(row.values, row.vocab, needed, 8, row.shared, mass));
  }
}

// The first `count` tokens, each at its place among them.
__device__ void ReportTop(const Row& row, const float* values, int count, float log_total,
                          int32_t* ids, float* logprobs) {
  const auto one = [](float) { return uint64_t{1}; };
  const auto needed = static_cast<uint64_t>(count);
  const uint64_t least = SelectKey(values, row.vocab, needed, 8, row.shared, one);
  if (threadIdx.x == 0) row.shared.outcome[0] = 0;
  __syncthreads();
  auto* unordered = reinterpret_cast<uint32_t*>(logprobs);  // until the numbers take their places
  for (int id = threadIdx.x; id < row.vocab; id += blockDim.x)
    if (KeyOf(values[id], id) >= least)
      unordered[AtomicAdd(row.shared.outcome, uint64_t{1})] = static_cast<uint32_t>(id);
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) {
    const auto id = static_cast<int>(unordered[i]);
    const uint64_t key = KeyOf(values[id], id);
    int before = 0;
    for (int j = 0; j < count; ++j) {
      const auto other = static_cast<int>(unordered[j]);
      if (KeyOf(values[other], other) > key) ++before;
    }
    ids[before] = id;
  }
  __syncthreads();
  for (int i = threadIdx.x; i < count; i += blockDim.x) logprobs[i] = values[ids[i]] - log_total;
}

__device__ float SumOfExponents(const Row& row, const float* values, float shift) {
  float sum = 0;
  for (int id = threadIdx.x; id < row.vocab; id += blockDim.x) sum += expf(values[id] - shift);
  return ReduceBlock(sum, Add(), row.shared.numbers);
}

// `index` is the row's number.
__device__ void Report(const SampleArgs& args, const Row& row, int index, int token,
                       const float* values) {
  if (row.ints.logprobs < 0) {
    if (threadIdx.x == 0) {
      args.ranks[index] = 0;
      args.logprobs[index] = NAN;
    }
    return;
  }
  const int first = FirstOf(values, row.vocab, row.shared);
  const float largest = first < 0 ? kRemoved : values[first], own = values[token];
  const float log_total = largest + logf(SumOfExponents(row, values, largest));
  uint64_t above = 0;
  for (int id = threadIdx.x; id < row.vocab; id += blockDim.x) above += values[id] > own ? 1 : 0;
  above = ReduceBlock(above, Add(), row.shared.sums);
  if (threadIdx.x == 0) {
    args.ranks[index] = 1 + static_cast<int32_t>(above);
    args.logprobs[index] = own - log_total;
  }
  const int start = row.step.top_starts[index], count = row.step.top_starts[index + 1] - start;
  if (count > 0)
    ReportTop(row, values, count, log_total, args.top_ids + start, args.top_logprobs + start);
}

__device__ bool IsPlain(const SampleInts& ints) {
  return ints.mask < 0 && ints.shared_mask < 0 && ints.bias_count == 0 && ints.penalty_count == 0;
}

// Left to itself the compiler gives a thread 32 registers, and spills.
__global__ void __launch_bounds__(kSampleThreads, 2) SampleKernel(Mark mark, SampleArgs args) {
  Leave(mark);
  const int index = blockIdx.x;
  if (index >= args.step->samples) return;
  const int64_t start = static_cast<int64_t>(index) * args.vocab;
  const SampleInts& ints = args.step->sample_ints[index];
  Row row{*args.step,
          ints,
          args.step->sample_floats[index],
          args.logits + start,
          args.processed + start,
          args.vocab,
          ShareSample()};
  const bool scored = ints.target >= 0;
  const bool processed = (ints.flags & kSampleProcessed) != 0 && ints.logprobs >= 0;
  int token = scored ? min(ints.target, args.vocab - 1) : 0;
  int failure = 0;
  if (!scored || processed) {
    const bool as_they_are = row.floats.temperature == 0 && IsPlain(ints) && !processed;
    const uint32_t* shared_mask =
        ints.shared_mask < 0
            ? nullptr
            : args.shared_masks + static_cast<int64_t>(index) * row.step.mask_words;
    if (!as_they_are) Process(row, shared_mask);
    const float* values = as_they_are ? row.logits : row.values;
    int first = FirstOf(values, row.vocab, row.shared);
    if (first < 0) {  // nothing is allowed: as if nothing were forbidden
      for (int id = threadIdx.x; id < row.vocab; id += blockDim.x) row.values[id] = row.logits[id];
      __syncthreads();
      first = FirstOf(row.logits, row.vocab, row.shared);
      row.floats.temperature = 0;
      if (shared_mask != nullptr) failure = kNothingAllowed;
      if (first < 0) failure = kNoNumbers;
    }
    const bool greedy = row.floats.temperature == 0;
    if (!greedy) Truncate(row, values[first]);
    if (!scored && greedy) token = first < 0 ? 0 : first;
    if (!scored && !greedy) {
      const double uniform = UniformOf(ints.counter, ints.stream, ints.seed_low, ints.seed_high);
      token = DrawToken(row.values, row.vocab, uniform, row.shared);
    }
  }
  Report(args, row, index, token, processed ? row.values : row.logits);
  if (threadIdx.x != 0) return;
  args.ids[index] = token;
  if (failure != 0) args.ranks[index] = failure;
}

}  // namespace

// ----------------------------------------------------------------------------------------
// launchers

void Sample(const SampleArgs& args, Stream stream) {
  Launch("sample", SampleKernel, args.rows, kSampleThreads, kSampleSharedBytes, stream, args);
}

}  // namespace octavo::cuda
