// octavo-bench-gpu NAME [--plan FILE] [--small yes]      Times one thing on a GPU and prints a line
// of JSON.
//
// NAME: memory, block-copy, decode-attention, latent-attention, prefill-attention, linear, sample,
// or model, which runs the plan of FILE with made-up weights. --small is for the emulator: sizes of
// a toy, and figures that mean nothing.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/backend/buffer.h"
#include "cuda/backend/cublas_lt.h"
#include "cuda/backend/step_upload.h"
#include "cuda/kernels/launchers.h"
#include "executor.h"
#include "made_plan.h"

namespace octavo::bench {
namespace {

using namespace cuda;

struct Sizes {
  int heads = 32, kv_heads = 8, head_dim = 128, block_size = 16, layers = 32;
  int cols = 4096, middle = 14336, vocab = 128256;
  int sequences = 64, context = 1024, prompt = 2048, moves = 256, repeats = 50;
  size_t copied = size_t{2} << 30;

  static Sizes Small() {
    Sizes small;
    small.heads = 4, small.kv_heads = 1, small.head_dim = 64, small.layers = 2;
    small.cols = 64, small.middle = 96, small.vocab = 300;
    small.sequences = 2, small.context = 40, small.prompt = 24, small.moves = 2, small.repeats = 1;
    small.copied = 1 << 16;
    return small;
  }
};

// A line of figures, printed at the end.
class Figures {
 public:
  void Add(const std::string& name, double value) {
    char number[40];
    std::snprintf(number, sizeof number, "%.6g", value);
    text_ += (text_.empty() ? "" : ", ") + ('"' + name + "\": ") + number;
  }
  void Print(const std::string& check, const std::string& device) const {
    std::printf("{\"check\": \"%s\", \"failure\": null, \"device\": \"%s\", \"figures\": {%s}}\n",
                check.c_str(), device.c_str(), text_.c_str());
  }

 private:
  std::string text_;
};

class Bench {
 public:
  Bench(const Sizes& sizes, std::string plan) : n_(sizes), plan_file_(std::move(plan)) {
    const std::string reason = WhyUnavailable();
    if (!reason.empty()) throw std::runtime_error(reason);
    UseDevice();
    stream_ = CreateStream();
  }

  void Run(const std::string& name) {
    if (name == "memory") {
      MemoryAndBus();
    } else if (name == "block-copy") {
      BlockCopies();
    } else if (name == "decode-attention") {
      // As an engine cuts contexts, which is in one part, and in more.
      for (const int parts : {1, 2, 4}) Attention({1, n_.sequences, n_.context, 0}, Keys(), parts);
    } else if (name == "latent-attention") {
      for (const int parts : {1, 2, 4, 8})
        Attention({1, n_.sequences, n_.context, 0}, LatentRows(), parts);
    } else if (name == "prefill-attention") {
      Attention({n_.prompt, 1, n_.prompt, 0}, Keys(), 1);
    } else if (name == "linear") {
      cublas_ = CublasLt::Open();
      for (const int rows : {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024}) LinearOf(rows);
    } else if (name == "sample") {
      SampleRows();
    } else if (name == "model") {
      for (const int sequences : {1, n_.sequences}) Model(sequences);
    } else {
      throw std::invalid_argument("unknown benchmark '" + name + "'");
    }
    std::string device = QueryDevice().name;
    if (cublas_ != nullptr) device += ", cuBLASLt " + cublas_->Version();
    figures_.Print("bench " + name, device);
  }

 private:
  // Seconds of one launch: of many in a row, after two.
  double Time(const std::function<void()>& launch) const {
    for (int i = 0; i < 2; ++i) launch();
    Wait(stream_.get());
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < n_.repeats; ++i) launch();
    Wait(stream_.get());
    const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
    return taken.count() / n_.repeats;
  }

  Buffer Device(size_t bytes) const {
    Buffer buffer;
    buffer.Reserve(bytes);
    Clear(buffer.memory.get(), bytes, stream_.get());
    return buffer;
  }

  // Bytes a second, in GB, that a copy on the device reads and writes: what others are shares of.
  double Memory() const {
    const Buffer from = Device(n_.copied), to = Device(n_.copied);
    const double seconds =
        Time([&] { CopyOnDevice(to.memory.get(), from.memory.get(), n_.copied, stream_.get()); });
    return 2e-9 * static_cast<double>(n_.copied) / seconds;
  }

  void MemoryAndBus() {
    figures_.Add("GB/s", Memory());
    const double peak = QueryDevice().peak_bandwidth;
    if (peak > 0) figures_.Add("peak GB/s", peak * 1e-9);
    const size_t bytes = n_.copied / 4;
    const Buffer device = Device(bytes);
    const PinnedPointer host = AllocatePinned(bytes);
    const auto rate = [&](double seconds) { return 1e-9 * static_cast<double>(bytes) / seconds; };
    figures_.Add(
        "to the device GB/s",
        rate(Time([&] { CopyToDevice(device.memory.get(), host.get(), bytes, stream_.get()); })));
    figures_.Add(
        "to the host GB/s",
        rate(Time([&] { CopyToHost(host.get(), device.memory.get(), bytes, stream_.get()); })));
  }

  // `prefix` begins the figures' names, where one line has several.
  void Report(double seconds, double bytes, const std::string& prefix = "") {
    if (memory_ == 0) figures_.Add("memory GB/s", memory_ = Memory());
    figures_.Add(prefix + "us", seconds * 1e6);
    figures_.Add(prefix + "GB/s", bytes * 1e-9 / seconds);
    figures_.Add(prefix + "share of memory", bytes * 1e-9 / seconds / memory_);
  }

  void BlockCopies() {
    const size_t block = size_t{2} * n_.layers * n_.kv_heads * n_.head_dim * n_.block_size * 2;
    const auto count = static_cast<size_t>(n_.moves);
    const Buffer here = Device(block * count), there = Device(block * count);
    const double bytes = static_cast<double>(block * count);
    Report(CopyBlocksOf(here.As<uint8_t>(), there.As<uint8_t>(), block), 2 * bytes);
    const PinnedPointer pinned = AllocatePinned(block * count);
    auto* host = static_cast<uint8_t*>(pinned.get());
    const double out = CopyBlocksOf(here.As<uint8_t>(), host, block);
    const double in = CopyBlocksOf(host, here.As<uint8_t>(), block);
    figures_.Add("swap out GB/s", bytes * 1e-9 / out);
    figures_.Add("swap in GB/s", bytes * 1e-9 / in);
  }

  // Seconds that it takes to copy all blocks, each elsewhere.
  double CopyBlocksOf(const uint8_t* from, uint8_t* to, size_t block) const {
    const auto count = static_cast<size_t>(n_.moves);
    std::vector<BlockMove> moves;
    for (size_t i = 0; i < count; ++i)
      moves.push_back({from + i * block, to + (i * 37 + 1) % count * block});
    const Buffer list = Device(count * sizeof(BlockMove));
    CopyToDevice(list.memory.get(), moves.data(), count * sizeof(BlockMove), stream_.get());
    return Time([&] { CopyBlocks(list.As<BlockMove>(), n_.moves, block, stream_.get()); });
  }

  // What a cache holds: keys and values of heads, or latent rows as DeepSeek's models have them.
  struct CacheShape {
    int heads, kv_heads, key_dim, value_dim;
    bool latent;
    size_t TokenBytes() const {
      return size_t{2} * kv_heads * (latent ? key_dim : key_dim + value_dim);
    }
  };
  CacheShape Keys() const { return {n_.heads, n_.kv_heads, n_.head_dim, n_.head_dim, false}; }
  CacheShape LatentRows() const { return {16, 1, 576, 512, true}; }

  void Attention(const Workload& load, const CacheShape& shape, int parts) {
    const MadeStep step(load, n_.block_size, {0, 1, 0, 0, 0, 1}, 0);
    AttentionArgs args{};
    args.type = Type::kBFloat16;
    args.cache.type = CacheType::kBFloat16;
    args.heads = shape.heads;
    args.scale = 0.1f;
    args.cache.kv_heads = shape.kv_heads;
    args.cache.key_dim = shape.key_dim;
    args.cache.value_dim = shape.value_dim;
    args.cache.latent = shape.latent;
    args.cache.block_size = n_.block_size;
    args.cache.block_bytes = shape.TokenBytes() * n_.block_size;
    StepUpload upload;
    const int tile_rows = shape.latent ? 0 : AttentionTileRows(args);
    upload.Send(step.view(), {tile_rows, false}, n_.vocab, stream_.get());
    const auto tokens = static_cast<size_t>(step.view().tokens);
    const size_t row = size_t{2} * shape.heads;  // bytes a column of all heads
    const Buffer cache = Device(args.cache.block_bytes * static_cast<size_t>(step.blocks()));
    const Buffer input = Device(row * shape.key_dim * tokens);
    const Buffer out = Device(row * shape.value_dim * tokens);
    const Buffer partials =
        Device(tokens * shape.heads * parts * (2 + shape.value_dim) * sizeof(float));
    args.cache.data = cache.As<uint8_t>();
    args.input = input.memory.get();
    args.out = out.memory.get();
    args.partials = partials.As<float>();
    args.step = upload.device();
    args.rows = step.view().tokens;
    args.tiles = upload.host().tile_count;
    args.decodes = upload.host().decode_count;
    args.splits = parts;
    const double seconds = Time([&] { PagedAttention(args, stream_.get()); });
    const double kept = static_cast<double>(shape.TokenBytes()) * load.sequences * load.context;
    const auto rows = static_cast<double>(row * tokens) * (shape.key_dim + shape.value_dim);
    Report(seconds, kept + rows, parts == 1 ? "" : std::to_string(parts) + " parts: ");
    if (load.tokens > 1)  // a row attends to half of the prompt in the mean
      figures_.Add("TFLOP/s",
                   2.0 * load.tokens * load.tokens * shape.heads * shape.key_dim / seconds * 1e-12);
  }

  void LinearOf(int rows) {
    LinearArgs args{};
    args.type = args.out_type = Type::kBFloat16;
    args.rows = rows;
    args.k = n_.cols;
    args.n = 2 * n_.middle;
    const size_t weights = size_t{2} * args.n * args.k;
    const Buffer weight = Device(weights);
    const Buffer input = Device(size_t{2} * rows * args.k), out = Device(size_t{2} * rows * args.n);
    args.weight = weight.memory.get();
    args.input = input.memory.get();
    args.out = out.memory.get();
    const double seconds = Time([&] { Linear(args, stream_.get()); });
    const std::string prefix = std::to_string(rows) + " rows: ";
    Report(seconds, static_cast<double>(weights) + 2.0 * rows * (args.k + args.n), prefix);
    figures_.Add(prefix + "TFLOP/s", 2.0 * rows * args.k * args.n / seconds * 1e-12);
    // Which tells from how many rows on cuBLASLt wins.
    if (cublas_ == nullptr || !cublas_->Linear(args, nullptr, stream_.get())) return;
    const double theirs = Time([&] { cublas_->Linear(args, nullptr, stream_.get()); });
    figures_.Add(prefix + "us by cuBLASLt", theirs * 1e6);
  }

  void SampleRows() {
    Workload load{1, n_.sequences, 1, n_.sequences};
    const MadeStep step(load, n_.block_size, {0, 1, 0, 0, 0, 1}, 0);
    StepUpload upload;
    upload.Send(step.view(), {}, n_.vocab, stream_.get());
    const size_t logits = size_t{4} * load.samples * n_.vocab;
    const Buffer input = Device(logits), scratch = Device(logits);
    const Buffer drawn = Device(size_t{4} * 5 * load.samples);
    SampleArgs args{};
    args.step = upload.device();
    args.logits = input.As<float>();
    args.processed = scratch.As<float>();
    args.rows = load.samples;
    args.vocab = n_.vocab;
    args.ids = drawn.As<int32_t>();
    args.ranks = args.ids + load.samples;
    args.top_ids = args.ranks + load.samples;
    args.logprobs = drawn.As<float>() + 3 * load.samples;
    args.top_logprobs = args.logprobs + load.samples;
    Report(Time([&] { cuda::Sample(args, stream_.get()); }), static_cast<double>(logits));
  }

  void Model(int sequences);

  Sizes n_;
  std::string plan_file_;
  StreamPointer stream_;
  std::unique_ptr<CublasLt> cublas_;  // null: the machine has none
  Figures figures_;
  double memory_ = 0;  // GB/s, once it was measured
};

// Every tensor is a view of the same numbers: loading gigabytes takes seconds.
class SameNumbers : public TensorSource {
 public:
  TensorView Get(const Weight& weight, const WeightSource& source) override {
    const auto count = static_cast<size_t>(source.rows * weight.cols);
    if (!weight.matrix) {
      gains_.resize(std::max(gains_.size(), count), 1.0f);
      return {gains_.data(), Type::kFloat32, {source.rows}};
    }
    // bfloat16 numbers of both signs, all about 0.02.
    for (size_t i = elements_.size(); i < count; ++i)
      elements_.push_back(static_cast<uint16_t>(0x3c80 + i * 7 % 97 + (i % 3 == 0 ? 0x8000 : 0)));
    return {elements_.data(), Type::kBFloat16, {source.rows, weight.cols}};
  }

 private:
  std::vector<float> gains_;
  std::vector<uint16_t> elements_;
};

void Bench::Model(int sequences) {
  std::ifstream file(plan_file_);
  if (!file) throw std::runtime_error("cannot read the plan '" + plan_file_ + "'");
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto plan = std::make_shared<const Plan>(Plan::Parse(text));
  const MadeStep made({1, sequences, n_.context, sequences}, n_.block_size, {0, 1, 0, 0, 0, 1}, 0);
  BackendOptions options;
  options.device = "cuda";
  options.block_size = n_.block_size;
  const std::atomic<bool> cancelled{false};
  Executor executor(MakeBackend(options), {n_.block_size, made.blocks(), 0}, SharedMasks(),
                    cancelled);
  SameNumbers tensors;
  const auto begin = std::chrono::steady_clock::now();
  executor.Load(plan, &tensors, [](uint64_t, uint64_t) {});
  const std::chrono::duration<double> load = std::chrono::steady_clock::now() - begin;
  double bytes = 1.0 * n_.context * sequences * BlockBytes(plan->caches, 1), weights = 0;
  for (const Weight& weight : plan->weights) weights += static_cast<double>(weight.Bytes());
  bytes += weights - static_cast<double>(plan->weights[0].Bytes());  // of the table few rows
  // As an engine that schedules ahead: the next step is submitted before a result is taken.
  const auto run = [&] {
    Step step(made.ints().data(), made.ints().size(), made.floats().data(), made.floats().size());
    if (executor.Flights() == executor.Depth()) executor.Finish();
    executor.Submit(&step);
  };
  const auto drain = [&] {
    while (executor.Flights() > 0) executor.Finish();
  };
  for (int i = 0; i < 3; ++i) run();
  drain();
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < n_.repeats; ++i) run();
  drain();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
  const double seconds = taken.count() / n_.repeats;
  const std::string prefix = std::to_string(sequences) + " sequences: ";
  Report(seconds, bytes, prefix);
  figures_.Add(prefix + "tokens/s", sequences / seconds);
  figures_.Add(prefix + "load s", load.count());
  figures_.Add(prefix + "load GB/s", weights * 1e-9 / load.count());
}

}  // namespace
}  // namespace octavo::bench

int main(int count, char** arguments) {
  std::string name, plan;
  auto sizes = octavo::bench::Sizes();
  for (int i = 1; i < count; ++i) {
    const std::string argument = arguments[i];
    if (argument == "--small" && ++i < count)
      sizes = octavo::bench::Sizes::Small();
    else if (argument == "--plan" && ++i < count)
      plan = arguments[i];
    else
      name = argument;
  }
  try {
    octavo::bench::Bench(sizes, plan).Run(name);
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench %s: %s\n", name.c_str(), error.what());
    return 1;
  }
}
