// octavo-bench-gpu NAME [--plan FILE] [--small yes]      Times one thing on a GPU and prints a line
// of JSON.
//
// NAME: memory, block-copy, decode-attention, prefill-attention, linear, sample, or model, which
// runs the plan of FILE with made-up weights. --small is for the emulator: sizes of a toy, and
// figures that mean nothing.
#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "cuda/backend/buffer.h"
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
  void Print(const std::string& check) const {
    std::printf("{\"check\": \"%s\", \"failure\": null, \"figures\": {%s}}\n", check.c_str(),
                text_.c_str());
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
      figures_.Add("GB/s", Memory());
    } else if (name == "block-copy") {
      BlockCopies();
    } else if (name == "decode-attention") {
      Attention({1, n_.sequences, n_.context, 0});
    } else if (name == "prefill-attention") {
      Attention({n_.prompt, 1, n_.prompt, 0});
    } else if (name == "linear") {
      for (const int rows : {1, 2, 4, 8, 16, 32, 64, 128, 256, 1024}) LinearOf(rows);
    } else if (name == "sample") {
      SampleRows();
    } else if (name == "model") {
      for (const int sequences : {1, n_.sequences}) Model(sequences);
    } else {
      throw std::invalid_argument("unknown benchmark '" + name + "'");
    }
    figures_.Print("bench " + name);
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
    const Buffer from = Device(block * count), to = Device(block * count);
    std::vector<BlockMove> moves;
    for (size_t i = 0; i < count; ++i)  // every block goes elsewhere
      moves.push_back(
          {from.As<uint8_t>() + i * block, to.As<uint8_t>() + (i * 37 + 1) % count * block});
    const Buffer list = Device(count * sizeof(BlockMove));
    CopyToDevice(list.memory.get(), moves.data(), count * sizeof(BlockMove), stream_.get());
    const double seconds =
        Time([&] { CopyBlocks(list.As<BlockMove>(), n_.moves, block, stream_.get()); });
    Report(seconds, 2.0 * static_cast<double>(block * count));
  }

  void Attention(const Workload& load) {
    const MadeStep step(load, n_.block_size, {0, 1, 0, 0, 0, 1}, 0);
    AttentionArgs args{};
    args.type = Type::kBFloat16;
    args.cache.type = CacheType::kBFloat16;
    args.heads = n_.heads;
    args.scale = 0.1f;
    args.cache.kv_heads = n_.kv_heads;
    args.cache.key_dim = args.cache.value_dim = n_.head_dim;
    args.cache.block_size = n_.block_size;
    args.cache.block_bytes = size_t{2} * n_.kv_heads * n_.head_dim * n_.block_size * 2;
    StepUpload upload;
    upload.Send(step.view(), {AttentionTileRows(args), false}, n_.vocab, stream_.get());
    const size_t row = static_cast<size_t>(n_.heads) * n_.head_dim * 2;
    const auto tokens = static_cast<size_t>(step.view().tokens);
    const Buffer cache = Device(args.cache.block_bytes * static_cast<size_t>(step.blocks()));
    const Buffer input = Device(row * tokens), out = Device(row * tokens);
    args.cache.data = cache.As<uint8_t>();
    args.input = input.memory.get();
    args.out = out.memory.get();
    args.step = upload.device();
    args.rows = step.view().tokens;
    args.tiles = upload.host().tile_count;
    args.decodes = upload.host().decode_count;
    args.splits = 1;
    const double seconds = Time([&] { PagedAttention(args, stream_.get()); });
    const double kv = 4.0 * load.sequences * load.context * n_.kv_heads * n_.head_dim;
    Report(seconds, kv + 2.0 * static_cast<double>(row * tokens));
    if (load.tokens > 1)  // a row attends to half of the prompt in the mean
      figures_.Add("TFLOP/s",
                   2.0 * load.tokens * load.tokens * n_.heads * n_.head_dim / seconds * 1e-12);
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
  double bytes = 2.0 * n_.context * sequences * BlockBytes(plan->caches, 1) / 2;
  for (size_t id = 1; id < plan->weights.size(); ++id)  // of the table, 0, few rows are read
    bytes += static_cast<double>(plan->weights[id].Bytes());
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
