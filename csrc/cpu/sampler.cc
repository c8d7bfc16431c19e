#include "sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "philox.h"

namespace octavo::cpu {
namespace {

constexpr float kRemoved = -std::numeric_limits<float>::infinity();

// Draws add up blocks of so many weights first, then look into one block.
constexpr int kBlock = 1024;

// In eight lanes, which the compiler can keep in vectors.
double SumOf(const float* weights, int count) {
  double lanes[8] = {};
  int i = 0;
  for (; i + 8 <= count; i += 8) {
    for (int lane = 0; lane < 8; ++lane) lanes[lane] += weights[i + lane];
  }
  for (; i < count; ++i) lanes[0] += weights[i];
  return std::accumulate(lanes, lanes + 8, 0.0);
}

// Orders token ids by falling value, ties by rising id. NaN comes last.
struct MoreLikely {
  const float* values;
  bool operator()(int32_t a, int32_t b) const {
    const float x = Number(values[a]), y = Number(values[b]);
    return x != y ? x > y : a < b;
  }
  static float Number(float value) { return std::isnan(value) ? kRemoved : value; }
};

int TopCount(const SampleInts& ints, int vocab) { return std::clamp(ints.logprobs, 0, vocab); }

// Moves the fewest ids whose weight reaches `needed` to the front, most likely first, and gives
// their number: quickselect by weight, O(n) on average.
size_t SelectMass(const std::vector<float>& weights, const float* values, double needed,
                  std::vector<int32_t>* ids) {
  const MoreLikely more_likely{values};
  size_t begin = 0, end = ids->size();
  while (begin < end) {
    const auto first = ids->begin() + static_cast<std::ptrdiff_t>(begin);
    const auto last = ids->begin() + static_cast<std::ptrdiff_t>(end);
    const auto middle = first + (last - first) / 2;
    std::nth_element(first, middle, last, more_likely);
    double mass = 0;
    for (auto id = first; id != middle; ++id) mass += weights[static_cast<size_t>(*id)];
    if (mass >= needed) {
      end = static_cast<size_t>(middle - ids->begin());
    } else {  // the middle one is needed as well
      needed -= mass + weights[static_cast<size_t>(*middle)];
      begin = static_cast<size_t>(middle - ids->begin()) + 1;
      if (needed <= 0) break;
    }
  }
  return begin;
}

}  // namespace

void SizeResult(const StepView& step, int vocab, StepResult* result) {
  const auto rows = static_cast<size_t>(step.samples);
  result->ids.resize(rows);
  result->ranks.resize(rows);
  result->logprobs.resize(rows);
  result->top_starts.assign(rows + 1, 0);
  for (size_t row = 0; row < rows; ++row) {
    result->top_starts[row + 1] = result->top_starts[row] + TopCount(step.sample_ints[row], vocab);
  }
  result->top_ids.resize(static_cast<size_t>(result->top_starts[rows]));
  result->top_logprobs.resize(static_cast<size_t>(result->top_starts[rows]));
}

void Sampler::Run(const StepView& step, int row, const float* logits, int vocab,
                  StepResult* result) {
  const SampleInts& ints = step.sample_ints[row];
  SampleFloats floats = step.sample_floats[row];
  vocab_ = vocab;
  const bool scored = ints.target >= 0;
  const bool processed = (ints.flags & kSampleProcessed) != 0 && ints.logprobs >= 0;
  int32_t failure = 0;
  int token = scored ? std::min(ints.target, vocab - 1) : 0;
  if (!scored || processed) {
    Process(step, ints, floats, logits);
    float largest = kernels_->largest(values_.data(), vocab);
    if (largest == kRemoved) {  // nothing is allowed: as if nothing were forbidden
      values_.assign(logits, logits + vocab);
      largest = kernels_->largest(logits, vocab);
      floats.temperature = 0;
      if (ints.shared_mask >= 0) failure = kNothingAllowed;
      if (largest == kRemoved) failure = kNoNumbers;
    }
    const bool greedy = floats.temperature == 0;
    if (!greedy) Truncate(ints, floats, largest);
    if (!scored) token = greedy ? Find(values_.data(), largest) : Draw(ints);
  }
  result->ids[static_cast<size_t>(row)] = token;
  Report(ints, token, processed ? values_.data() : logits, row, result);
  if (failure != 0) result->ranks[static_cast<size_t>(row)] = failure;
}

void Sampler::Process(const StepView& step, const SampleInts& ints, const SampleFloats& floats,
                      const float* logits) {
  values_.assign(logits, logits + vocab_);
  const auto words = static_cast<size_t>(step.mask_words);
  if (ints.mask >= 0) Apply(step.masks + static_cast<size_t>(ints.mask) * words, step.mask_words);
  if (ints.shared_mask >= 0)
    Apply(step.shared_masks + static_cast<size_t>(ints.shared_mask) * words, step.mask_words);
  for (int i = ints.bias_start; i < ints.bias_start + ints.bias_count; ++i) {
    const int32_t id = step.bias_ids[i];
    if (id >= 0 && id < vocab_) values_[static_cast<size_t>(id)] += step.bias_values[i];
  }
  for (int i = ints.penalty_start; i < ints.penalty_start + ints.penalty_count; ++i) {
    const Penalty& penalty = step.penalties[i];
    if (penalty.token < 0 || penalty.token >= vocab_) continue;
    float& value = values_[static_cast<size_t>(penalty.token)];
    const float repetition = floats.repetition_penalty;
    if (penalty.output_count > 0 || penalty.in_prompt != 0) {
      value = value > 0 ? value / repetition : value * repetition;
    }
    value -= floats.frequency_penalty * static_cast<float>(penalty.output_count);
    if (penalty.output_count > 0) value -= floats.presence_penalty;
  }
}

void Sampler::Apply(const uint32_t* mask, int words) {
  for (int word = 0; word * 32 < vocab_; ++word) {
    const uint32_t allowed = word < words ? mask[word] : 0;
    if (allowed == ~uint32_t{0}) continue;
    const int end = std::min(32, vocab_ - word * 32);
    for (int bit = 0; bit < end; ++bit) {
      if ((allowed >> bit & 1u) == 0) values_[static_cast<size_t>(word * 32 + bit)] = kRemoved;
    }
  }
}

void Sampler::Truncate(const SampleInts& ints, const SampleFloats& floats, float largest) {
  for (float& value : values_) {
    // An infinite bias makes its tokens the only ones, and equally likely.
    value = value == largest ? 0 : (value - largest) / floats.temperature;
    if (std::isnan(value)) value = kRemoved;
  }
  if (floats.min_p > 0) KeepMinP(floats.min_p);
  if (ints.top_k > 0 && ints.top_k < vocab_) KeepTopK(ints.top_k);
  if (floats.top_p < 1) KeepTopP(floats.top_p);
}

void Sampler::KeepMinP(float min_p) {
  const float least = std::log(min_p);
  for (float& value : values_) {
    if (value < least) value = kRemoved;
  }
}

void Sampler::KeepTopK(int top_k) {
  selected_ = values_;
  const auto kth = selected_.begin() + (top_k - 1);
  std::nth_element(selected_.begin(), kth, selected_.end(), [](float a, float b) { return a > b; });
  for (float& value : values_) {
    if (value < *kth) value = kRemoved;
  }
}

void Sampler::KeepTopP(float top_p) {
  const double total = Weigh(values_.data(), 0);
  // All tokens with less than this weigh less than 1 - topP together: none is needed, so only the
  // others are searched. Half of it, to be above every error of rounding.
  const double least = 0.5 * (1.0 - top_p) * total / vocab_;
  order_.clear();
  for (int i = 0; i < vocab_; ++i) {
    if (weights_[static_cast<size_t>(i)] > least) {
      order_.push_back(i);
    } else {
      values_[static_cast<size_t>(i)] = kRemoved;
    }
  }
  const size_t kept = SelectMass(weights_, values_.data(), top_p * total, &order_);
  for (size_t i = std::max<size_t>(kept, 1); i < order_.size(); ++i) {
    values_[static_cast<size_t>(order_[i])] = kRemoved;
  }
}

int Sampler::Draw(const SampleInts& ints) {
  const double total = Weigh(values_.data(), 0);
  const auto words =
      Philox({static_cast<uint32_t>(ints.counter), static_cast<uint32_t>(ints.stream), 0, 0},
             static_cast<uint32_t>(ints.seed_low), static_cast<uint32_t>(ints.seed_high));
  double left = UniformOf(words) * total;
  const float* weights = weights_.data();
  int block = 0;
  for (; block + kBlock < vocab_; block += kBlock) {
    const double sum = SumOf(weights + block, kBlock);
    if (sum > left) break;
    left -= sum;
  }
  for (int i = block; i < vocab_; ++i) {
    left -= weights[i];
    if (left < 0) return i;
  }
  // Rounding left a crumb over: the last token that can come.
  int token = vocab_ - 1;
  while (token > 0 && weights[token] <= 0) --token;
  return token;
}

double Sampler::Weigh(const float* values, float shift) {
  weights_.resize(static_cast<size_t>(vocab_));
  kernels_->exp_shifted(values, shift, vocab_, weights_.data());
  return SumOf(weights_.data(), vocab_);
}

int Sampler::Find(const float* values, float largest) const {
  for (int i = 0; i < vocab_; ++i) {
    if (values[i] == largest) return i;
  }
  return 0;
}

void Sampler::Report(const SampleInts& ints, int token, const float* values, int row,
                     StepResult* result) {
  const auto r = static_cast<size_t>(row);
  if (ints.logprobs < 0) {
    result->ranks[r] = 0;
    result->logprobs[r] = std::numeric_limits<float>::quiet_NaN();
    return;
  }
  const float largest = kernels_->largest(values, vocab_);
  const double log_total = largest + std::log(Weigh(values, largest));
  result->logprobs[r] = static_cast<float>(values[token] - log_total);
  const auto above = [&](float value) { return value > values[token]; };
  result->ranks[r] = 1 + static_cast<int32_t>(std::count_if(values, values + vocab_, above));

  const auto count = static_cast<std::ptrdiff_t>(TopCount(ints, vocab_));
  if (count == 0) return;
  order_.resize(static_cast<size_t>(vocab_));
  std::iota(order_.begin(), order_.end(), 0);
  const MoreLikely more_likely{values};
  if (count < vocab_) {
    std::nth_element(order_.begin(), order_.begin() + count, order_.end(), more_likely);
  }
  std::sort(order_.begin(), order_.begin() + count, more_likely);
  const auto start = static_cast<size_t>(result->top_starts[r]);
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    result->top_ids[start + i] = order_[i];
    result->top_logprobs[start + i] = static_cast<float>(values[order_[i]] - log_total);
  }
}

}  // namespace octavo::cpu
