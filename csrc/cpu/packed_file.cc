#include "packed_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <system_error>
#include <vector>

#include "../new_file.h"
#include "packed_header.h"

namespace octavo::cpu {
namespace {

using Entry = PackedHeader::Entry;

constexpr size_t kPage = 4096;
// Weights are summed up and written in pieces of so many bytes.
constexpr size_t kPiece = size_t{1} << 20;
// So many pieces are summed up between two checks.
constexpr size_t kTurn = 64;

struct Front {
  char magic[24] = "octavo packed weights\n";
  uint32_t layout = kPackedLayout;
  uint32_t reserved = 0;
  uint64_t header_bytes = 0, header_sum = 0;
};
static_assert(sizeof(Front) == 48);

void Expect(bool holds, const std::string& why) {
  if (!holds) throw std::runtime_error(why);
}

size_t RoundToPage(size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// A checksum of eight lanes of words. Each step is one-to-one, so that a change of one word always
// changes it.
uint64_t SumOf(const uint8_t* data, size_t bytes) {
  constexpr uint64_t kOdd = 0x9e3779b97f4a7c15u;
  constexpr int kLanes = 8, kTurn = 29;
  uint64_t lanes[kLanes] = {1, 2, 3, 4, 5, 6, 7, 8};
  const auto add = [&lanes](const uint8_t* from) {
    for (uint64_t& lane : lanes) {
      uint64_t word;
      std::memcpy(&word, from, sizeof(word));
      from += sizeof(word);
      lane = (lane ^ word) * kOdd;
      lane = lane << kTurn | lane >> (64 - kTurn);
    }
  };
  const size_t whole = bytes / sizeof(lanes) * sizeof(lanes);
  for (size_t at = 0; at < whole; at += sizeof(lanes)) add(data + at);
  uint8_t rest[sizeof(lanes)] = {};
  std::copy(data + whole, data + bytes, rest);
  add(rest);
  uint64_t sum = bytes;
  for (const uint64_t lane : lanes) {
    sum = (sum ^ lane) * kOdd;
    sum ^= sum >> 32;
  }
  return sum;
}

// The checksum of each entry's bytes: of the sums of its pieces, which all threads share.
std::vector<uint64_t> SumsOf(const std::vector<Entry>& entries, ThreadPool* pool,
                             const std::function<void()>& check) {
  struct Piece {
    const uint8_t* data;
    size_t bytes;
  };
  std::vector<Piece> pieces;
  std::vector<size_t> ends;  // of each entry's pieces
  for (const Entry& entry : entries) {
    for (size_t at = 0; at < entry.length; at += kPiece)
      pieces.push_back({entry.packed.data + at, std::min<size_t>(kPiece, entry.length - at)});
    ends.push_back(pieces.size());
  }
  std::vector<uint64_t> sums(pieces.size());
  for (size_t turn = 0; turn < pieces.size(); turn += kTurn) {
    check();
    const size_t count = std::min(kTurn, pieces.size() - turn);
    pool->ParallelFor(static_cast<int>(count), [&](int i, int) {
      const size_t item = turn + static_cast<size_t>(i);
      sums[item] = SumOf(pieces[item].data, pieces[item].bytes);
    });
  }
  std::vector<uint64_t> wholes;
  size_t first = 0;
  for (const size_t end : ends) {
    const auto* from = reinterpret_cast<const uint8_t*>(sums.data() + first);
    wholes.push_back(SumOf(from, (end - first) * sizeof(uint64_t)));
    first = end;
  }
  return wholes;
}

PackedHeader ReadHeader(const MappedFile& file) {
  Front front;
  Expect(file.size() >= sizeof(front) &&
             std::memcmp(file.data(), front.magic, sizeof(front.magic)) == 0,
         "it is no file of packed weights");
  std::memcpy(&front, file.data(), sizeof(front));
  Expect(front.layout == kPackedLayout, "it is packed in layout " + std::to_string(front.layout) +
                                            ", this build packs in layout " +
                                            std::to_string(kPackedLayout));
  const uint8_t* header = file.data() + sizeof(front);
  Expect(front.header_bytes <= file.size() - sizeof(front), "it is cut off in its header");
  const auto bytes = static_cast<size_t>(front.header_bytes);
  Expect(SumOf(header, bytes) == front.header_sum, "its header is damaged");
  return PackedHeader::Parse(header, bytes);
}

// Finds the bytes of an entry in the file.
void Locate(const MappedFile& file, const Weight& weight, Entry* entry) {
  CheckPacked(entry->packed, weight);
  Expect(entry->length == entry->packed.Bytes() && entry->offset % kPage == 0,
         "it holds another form of a weight");
  Expect(entry->offset <= file.size() && entry->length <= file.size() - entry->offset,
         "it is cut off");
  entry->packed.data = file.data() + entry->offset;
}

// The plan's weights, each once, in its order.
std::vector<std::pair<std::string, const Weight*>> WeightsOf(const Plan& plan) {
  std::vector<std::pair<std::string, const Weight*>> weights;
  std::set<std::string> seen;
  for (const Weight& weight : plan.weights) {
    std::string key = weight.Key();
    if (seen.insert(key).second) weights.emplace_back(std::move(key), &weight);
  }
  return weights;
}

}  // namespace

MappedWeights MapPackedFile(const WeightFile& wanted, const Plan& plan, ThreadPool* pool,
                            const std::function<void()>& check) {
  std::error_code ignored;
  if (!std::filesystem::exists(std::filesystem::u8path(wanted.path), ignored)) return {};
  MappedWeights mapped;
  mapped.file = std::make_unique<MappedFile>(wanted.path);
  PackedHeader header = ReadHeader(*mapped.file);
  Expect(header.source == wanted.source,
         "it was made of other files, or by another version of Octavo");
  const auto weights = WeightsOf(plan);
  Expect(header.entries.size() == weights.size(), "it holds other weights");
  for (size_t i = 0; i < weights.size(); ++i) {
    Expect(header.entries[i].key == weights[i].first, "it holds other weights");
    Locate(*mapped.file, *weights[i].second, &header.entries[i]);
  }
  const std::vector<uint64_t> sums = SumsOf(header.entries, pool, check);
  for (size_t i = 0; i < sums.size(); ++i) {
    const Entry& entry = header.entries[i];
    Expect(sums[i] == entry.sum, "weight '" + entry.key + "' is damaged");
    mapped.weights[entry.key] = std::make_shared<const PackedWeight>(entry.packed);
  }
  return mapped;
}

void WritePackedFile(const WeightFile& file, const Plan& plan, const PackedWeights& weights,
                     ThreadPool* pool, const std::function<void()>& check) {
  PackedHeader header;
  header.source = file.source;
  for (const auto& [key, weight] : WeightsOf(plan)) {
    Entry entry;
    entry.key = key;
    entry.packed = *weights.at(key);
    entry.length = entry.packed.Bytes();
    header.entries.push_back(std::move(entry));
  }
  const std::vector<uint64_t> sums = SumsOf(header.entries, pool, check);
  size_t end = sizeof(Front) + header.Bytes().size();  // places and sums take the same room later
  for (size_t i = 0; i < sums.size(); ++i) {
    Entry& entry = header.entries[i];
    entry.sum = sums[i];
    entry.offset = RoundToPage(end);
    end = entry.offset + entry.length;
  }
  const std::vector<uint8_t> bytes = header.Bytes();
  Front front;
  front.header_bytes = bytes.size();
  front.header_sum = SumOf(bytes.data(), bytes.size());

  NewFile written(file.path);
  written.Write(&front, sizeof(front));
  written.Write(bytes.data(), bytes.size());
  for (const Entry& entry : header.entries) {
    written.Pad(kPage);
    for (size_t at = 0; at < entry.length; at += kPiece) {
      check();
      written.Write(entry.packed.data + at, std::min<size_t>(kPiece, entry.length - at));
    }
  }
  written.Publish();
}

}  // namespace octavo::cpu
