// Times the CPU backend's ops beside the limits of the machine. Prints one JSON object a line:
// octavo-bench-kernels ISA THREADS ROUNDS [GROUP…] [rows:N…] [turns], groups: linear attention
// small sample, or one type of linear's; rows: of linear's inputs, all where none is given. With
// `turns` it works when told to, so that programs of two commits can take turns: it makes an op
// ready and prints its name; for each line that it reads it times a round, and prints that; one
// line more leads to the next op.
#include <cstdio>
#include <cstdlib>
#include <set>

#include "bench.h"
#include "made_plan.h"

namespace octavo::bench {
namespace {

Bench::Limit LimitOf(int code_bits, bool rounded) {
  switch (code_bits) {
    case 16: return &Roofline::multiply_words;
    case 8: return &Roofline::multiply_codes8;
    case 4: return &Roofline::multiply_codes4;
    default: return rounded ? &Roofline::multiply_pairs : nullptr;
  }
}

// Enough copies of the weight that none is in a cache when its turn comes, as in a model's layers.
// "bfloat16/rounded": the inputs are rounded to the matrix' type.
void TimeLinear(Bench* bench, const std::string& name, int rows, int k, int n) {
  const bool rounded = name == "bfloat16/rounded";
  const std::string type = rounded ? "bfloat16" : name;
  Weight weight;
  weight.rows = n;
  weight.cols = k;
  if (!ParseQuantization(type, &weight.quantization)) weight.type = ParseType(type);
  const size_t bytes = weight.Bytes();
  const int copies = static_cast<int>(kBeyondCaches / 2 / bytes) + 1;
  std::string text;
  for (int i = 0; i < copies; ++i) {
    text += "weight " + std::to_string(i) + " matrix " + type + " [" + std::to_string(n) + "," +
            std::to_string(k) + "] w" + std::to_string(i) + "\n";
  }
  const size_t input_bytes = (size_t{4} * rows * k + 63) / 64 * 64;
  text += "%0 [T," + std::to_string(k) + "] @0 = embed() weight=0 scale=1 \"e\"\n";
  for (int i = 0; i < copies; ++i) {
    text += "%" + std::to_string(i + 1) + " [T," + std::to_string(n) + "] @" +
            std::to_string(input_bytes) + " = linear(%0) weight=" + std::to_string(i) +
            (rounded ? " inputs=bfloat16" : "") + " \"l\"\n";
  }
  Workload load;
  load.tokens = load.context = rows;
  const MadeStep step(load, 16, {}, 0);
  MadePlan plan(text, load, bench->Options(), step.blocks(), input_bytes + size_t{4} * rows * n);
  bench->Time(
      "linear",
      name + " rows " + std::to_string(rows) + " k " + std::to_string(k) + " n " +
          std::to_string(n),
      2.0 * rows * k * n, static_cast<double>(bytes), [&] { plan.Run(step.view()); }, copies,
      LimitOf(weight.quantization.bits, rounded));
}

// Attention of one layer of SmolLM2: 9 heads on 3 of keys and values, 64 wide.
// "bfloat16/rounded": queries and weights are rounded to the cache's type.
void TimeAttention(Bench* bench, const std::string& name, int tokens, int sequences, int context) {
  constexpr int kHeads = 9, kKvHeads = 3, kDim = 64;
  Workload load;
  load.tokens = tokens;
  load.sequences = sequences;
  load.context = context;
  const MadeStep step(load, 16, {}, 0);
  const size_t rows = static_cast<size_t>(tokens) * sequences;
  const size_t value_bytes = rows * kHeads * kDim * 4;
  const bool rounded = name == "bfloat16/rounded";
  const std::string type = rounded ? "bfloat16" : name;
  const std::string shape = "heads=9 kvHeads=3 headDim=64";
  std::string text = "cache 0 kv full " + type +
                     " layers=1 kvHeads=3 keyDim=64 valueDim=64\n"
                     "weight 0 matrix float32 [2,576] w\n"
                     "%0 [T,576] @0 = embed() weight=0 scale=1 \"e\"\n"
                     "%1 [T,576] @" +
                     std::to_string(value_bytes) + " = pagedAttention(%0) group=0 layer=0 " +
                     shape + " scale=0.125" + (rounded ? " inputs=bfloat16" : "") + " \"a\"\n";
  MadePlan plan(text, load, bench->Options(), step.blocks(), 2 * value_bytes);
  double pairs = 0;  // (query row, token) that are computed
  for (int t = 0; t < tokens; ++t)
    pairs += static_cast<double>(sequences) * (context - tokens + t + 1);
  const CacheType cache = ParseCacheType(type);
  const double row_bytes = static_cast<double>(kDim * SizeOf(cache) + ScaleBytes(cache));
  const double bytes = tokens > 1 ? 0 : pairs * kKvHeads * 2 * row_bytes;
  bench->Time(
      "attention",
      name + " sequences " + std::to_string(sequences) + " tokens " + std::to_string(tokens) +
          " context " + std::to_string(context),
      4.0 * pairs * kHeads * kDim, bytes, [&] { plan.Run(step.view()); }, 1, LimitOf(0, rounded));
}

// Norm with residual and gated activation, as in each layer of SmolLM2.
void TimeSmall(Bench* bench, int rows) {
  Workload load;
  load.tokens = load.context = rows;
  const MadeStep step(load, 16, {}, 0);
  const std::string at1 = std::to_string(size_t{4} * rows * 3072);
  const std::string at2 = std::to_string(size_t{4} * rows * 3072 * 2);
  const auto time = [&](const char* name, int cols, const std::string& op) {
    const std::string in = std::to_string(cols);
    const std::string text = "weight 0 matrix float32 [2," + in +
                             "] w\nweight 1 vector float32 [576] n\n" + "%0 [T," + in +
                             "] @0 = embed() weight=0 scale=1 \"e\"\n" + "%1 [T," + in + "] @" +
                             at1 + " = embed() weight=0 scale=1 \"e\"\n" + op;
    MadePlan plan(text, load, bench->Options(), step.blocks(), size_t{4} * rows * 3072 * 3);
    plan.Run(step.view());
    bench->Time(name, "rows " + std::to_string(rows), 0, 0, [&] { plan.RunLast(step.view()); });
  };
  time("norm", 576, "%2 [T,576] @" + at2 + " = norm(%0,%1) norm=rms eps=0.00001 weight=1 \"n\"\n");
  time("activation", 3072,
       "%2 [T,1536] @" + at2 + " = activation(%0) activation=silu gated=1 \"a\"\n");
}

void TimeSample(Bench* bench, const char* name, int rows, const SampleFloats& sampling, int top_k) {
  Workload load;
  load.tokens = load.context = load.samples = rows;
  const MadeStep step(load, 16, sampling, top_k);
  MadePlan plan(
      "weight 0 matrix float32 [2,49152] w\n"
      "%0 [R,49152] @0 = embed() weight=0 scale=64 \"e\"\nsample(%0) \"s\"\n",
      load, bench->Options(), step.blocks(), size_t{4} * rows * 49152);
  plan.Run(step.view());
  bench->Time("sample", std::string(name) + " rows " + std::to_string(rows), 0, 0,
              [&] { plan.RunLast(step.view()); });
}

}  // namespace
}  // namespace octavo::bench

int main(int argc, char** argv) {
  using namespace octavo::bench;
  if (argc < 4) {
    std::fprintf(stderr,
                 "usage: octavo-bench-kernels ISA THREADS ROUNDS [GROUP...] [rows:N...] [turns]\n");
    return 2;
  }
  std::set<std::string> groups;
  std::set<int> few;
  bool turns = false;
  for (const std::string& argument : std::vector<std::string>(argv + 4, argv + argc)) {
    if (argument == "turns")
      turns = true;
    else if (argument.rfind("rows:", 0) == 0)
      few.insert(std::atoi(argument.c_str() + 5));
    else
      groups.insert(argument);
  }
  const auto wanted = [&](const std::string& group) {
    return groups.empty() || groups.count(group) != 0;
  };
  Bench bench(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), turns);
  if (!turns) bench.TimeLimits();
  {
    const std::string kTypes[] = {
        "bfloat16", "bfloat16/rounded", "int16",   "float16",  "float32",
        "int8",     "int8/32",          "int4/32", "int4/128", "levels4/32"};
    constexpr int kShapes[][2] = {{576, 960}, {576, 576}, {576, 3072}, {1536, 576}, {576, 49152}};
    for (const std::string& type : kTypes) {
      if (!wanted("linear") && !wanted(type)) continue;
      for (const auto& [k, n] : kShapes) {
        for (int rows : {1, 4, 8, 16, 48, 128, 512}) {
          if (!few.empty() && few.count(rows) == 0) continue;
          if (n < 49152 || rows <= 128) TimeLinear(&bench, type, rows, k, n);
        }
      }
    }
  }
  if (wanted("attention")) {
    for (const char* type : {"bfloat16/rounded", "bfloat16", "float16", "float32", "int8", "fp8"}) {
      for (int context : {128, 512, 2048, 4096}) TimeAttention(&bench, type, 1, 16, context);
      for (int context : {128, 512, 2048}) TimeAttention(&bench, type, context, 1, context);
    }
  }
  if (wanted("small")) {
    for (int rows : {1, 32, 512}) TimeSmall(&bench, rows);
  }
  if (wanted("sample")) {
    for (int rows : {1, 32}) {
      TimeSample(&bench, "greedy", rows, {0, 1, 0, 0, 0, 1}, 0);
      TimeSample(&bench, "plain", rows, {1, 1, 0, 0, 0, 1}, 0);
      TimeSample(&bench, "topK 50", rows, {1, 1, 0, 0, 0, 1}, 50);
      TimeSample(&bench, "topP 0.9", rows, {1, 0.9f, 0, 0, 0, 1}, 0);
    }
  }
  return 0;
}
