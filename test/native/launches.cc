// Prints how the kernels of a step of an 8B-shaped model are launched, a line of JSON each: blocks,
// threads, dynamic shared memory. scripts/cuda-table.mjs puts it beside what ptxas says of them.
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "cuda/backend/runtime.h"
#include "cuda/emulation/block.h"
#include "cuda/kernels/launchers.h"

namespace octavo::cuda {
namespace {

constexpr int kHeads = 32, kKvHeads = 8, kHeadDim = 128, kBlockSize = 16, kLayers = 32;
constexpr int kCols = 4096, kMiddle = 14336, kVocab = 128256;
constexpr int kSequences = 64, kPrompt = 2048;

StreamPointer stream;

void Print(const char* title, const std::function<void()>& launch) {
  std::vector<emulation::Launched> launches;
  emulation::RecordLaunches(&launches);
  launch();
  Wait(stream.get());
  emulation::RecordLaunches(nullptr);
  const emulation::Launched& first = launches.at(0);
  const unsigned blocks = first.grid.x * first.grid.y * first.grid.z;
  const unsigned threads = first.block.x * first.block.y * first.block.z;
  std::printf("{\"title\": \"%s\", \"blocks\": %u, \"threads\": %u, \"shared\": %zu}\n", title,
              blocks, threads, first.shared_bytes);
}

void PrintLinear(const char* title, int rows) {
  LinearArgs args{};
  args.type = args.out_type = Type::kBFloat16;
  args.rows = rows;
  args.k = kCols;
  args.n = 2 * kMiddle;
  Print(title, [&] { Linear(args, stream.get()); });
}

void PrintAttention(const char* title, int tiles, int decodes) {
  AttentionArgs args{};
  args.type = Type::kBFloat16;
  args.cache.type = CacheType::kBFloat16;
  args.heads = kHeads;
  args.cache.kv_heads = kKvHeads;
  args.cache.key_dim = args.cache.value_dim = kHeadDim;
  args.cache.block_size = kBlockSize;
  args.tiles = tiles;
  args.decodes = decodes;
  args.splits = 1;
  Print(title, [&] { PagedAttention(args, stream.get()); });
}

void PrintLatent(const char* title) {
  AttentionArgs args{};
  args.type = Type::kBFloat16;
  args.cache.type = CacheType::kBFloat16;
  args.cache.latent = true;
  args.heads = 16;
  args.cache.kv_heads = 1;
  args.cache.key_dim = 576;
  args.cache.value_dim = 512;
  args.cache.block_size = kBlockSize;
  args.rows = args.decodes = kSequences;
  args.splits = 8;  // as 132 multiprocessors want
  Print(title, [&] { PagedAttention(args, stream.get()); });
}

int AttentionTiles() {
  AttentionArgs args{};
  args.heads = kHeads;
  args.cache.kv_heads = kKvHeads;
  return kPrompt / AttentionTileRows(args);
}

void PrintAll() {
  stream = CreateStream();
  PrintAttention("attention, decode", 0, kSequences);
  PrintAttention("attention, prefill", AttentionTiles(), 0);
  PrintLatent("attention, latent");
  PrintLinear("linear, 1 row", 1);
  PrintLinear("linear, tensor cores", kSequences);
  const size_t block = size_t{kLayers} * kKvHeads * 2 * kHeadDim * kBlockSize * 2;
  Print("copy blocks", [&] { CopyBlocks(nullptr, kSequences, block, stream.get()); });
  SampleArgs sample{};
  sample.rows = kSequences;
  sample.vocab = kVocab;
  Print("sample", [&] { Sample(sample, stream.get()); });
  stream.reset();
}

}  // namespace
}  // namespace octavo::cuda

int main() {
  octavo::cuda::PrintAll();
  return 0;
}
