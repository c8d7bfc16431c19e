#include "adapters.h"

#include <string>

#include "../../op_view.h"
#include "weight_loader.h"

namespace octavo::cuda {
namespace {

int PaddedRank(int64_t rank) {
  return static_cast<int>((rank + kRankStep - 1) / kRankStep * kRankStep);
}

// The rows of all sources, one behind the other: `height` rows of `width` elements, zeros where the
// matrix has none.
std::vector<uint8_t> PaddedRows(const Weight& matrix, const std::vector<TensorView>& sources,
                                Type type, int64_t height, int64_t width) {
  const size_t row_bytes = static_cast<size_t>(width) * SizeOf(type);
  const auto cols = static_cast<size_t>(matrix.cols);
  std::vector<uint8_t> rows(static_cast<size_t>(height) * row_bytes);
  uint8_t* to = rows.data();
  for (const TensorView& source : sources) {
    const auto count = static_cast<size_t>(source.Count());
    for (size_t first = 0; first < count; first += cols, to += row_bytes)
      ConvertPiece(source, first, cols, type, to);
  }
  return rows;
}

void SetTable(const AdapterRoom& room, int slot, std::vector<AdaptedPart> parts, Stream stream) {
  parts.resize(static_cast<size_t>(room.parts));
  auto* table = static_cast<AdaptedPart*>(room.table.get()) + int64_t{slot} * room.parts;
  CopyToDevice(table, parts.data(), parts.size() * sizeof(AdaptedPart), stream);
}

// Where a part comes, behind those of its weight that are placed.
AdaptedPart PlaceOf(const Adapter& adapter, const AdapterPart& part,
                    const std::vector<AdaptedPart>& placed) {
  AdaptedPart place{};
  place.first = part.first;
  place.rows = static_cast<int>(adapter.weights.at(static_cast<size_t>(part.b)).rows);
  place.rank = PaddedRank(adapter.weights.at(static_cast<size_t>(part.a)).rows);
  place.scale = part.scale;
  if (placed.empty()) return place;
  const AdaptedPart& last = placed.back();
  place.shrunk = last.shrunk + last.rank;
  place.b = last.b + int64_t{last.rows} * last.rank;
  return place;
}

// Brings rows to element `at` of the matrices of all slots.
void Send(const std::vector<uint8_t>& rows, const DevicePointer& matrices, int64_t at, Type type,
          Stream stream) {
  auto* to = static_cast<uint8_t*>(matrices.get()) + at * static_cast<int64_t>(SizeOf(type));
  CopyToDevice(to, rows.data(), rows.size(), stream);
}

}  // namespace

const AdapterRoom& Adapters::RoomOf(int id, const Weight& weight, Type type, Stream stream) {
  const auto [found, is_new] = rooms_.try_emplace(id);
  AdapterRoom& room = found->second;
  if (!is_new) {
    Expect(room.rows == weight.rows && room.cols == weight.cols && room.type == type,
           "adapters are of another plan");
    return room;
  }
  room.rows = weight.rows;
  room.cols = weight.cols;
  room.type = type;
  room.parts = static_cast<int>(weight.sources.size());
  room.rank = PaddedRank(rank_);
  if (slots_ == 0) return room;
  const auto ranks = static_cast<size_t>(slots_) * static_cast<size_t>(room.rank) * SizeOf(type);
  const size_t table_bytes = static_cast<size_t>(slots_) * room.parts * sizeof(AdaptedPart);
  room.table = AllocateDevice(table_bytes);
  room.a = AllocateDevice(ranks * room.parts * static_cast<size_t>(weight.cols));
  room.b = AllocateDevice(ranks * static_cast<size_t>(weight.rows));
  Clear(room.table.get(), table_bytes, stream);
  return room;
}

void Adapters::Load(int slot, const Adapter& adapter,
                    const std::vector<std::vector<TensorView>>& sources, Stream stream) {
  Expect(slot < slots_,
         "adapter slot " + std::to_string(slot) + ": adapterSlots is " + std::to_string(slots_));
  for (const auto& room : rooms_) SetTable(room.second, slot, {}, stream);
  CheckRanks(adapter);
  std::map<int, std::vector<AdaptedPart>> tables;
  for (const AdapterPart& part : adapter.parts) {
    const AdapterRoom& room = rooms_.at(part.weight);
    std::vector<AdaptedPart>& table = tables[part.weight];
    Expect(table.size() < static_cast<size_t>(room.parts),
           "an adapter has more than " + std::to_string(room.parts) + " parts of weight " +
               std::to_string(part.weight));
    const AdaptedPart place = PlaceOf(adapter, part, table);
    const auto rows_of = [&](int matrix, int64_t height, int64_t width) {
      const auto id = static_cast<size_t>(matrix);
      return PaddedRows(adapter.weights.at(id), sources.at(id), room.type, height, width);
    };
    const int64_t ranks = int64_t{slot} * room.rank;  // of the slots before, of one part each
    Send(rows_of(part.a, place.rank, room.cols), room.a,
         (ranks * room.parts + place.shrunk) * room.cols, room.type, stream);
    Send(rows_of(part.b, place.rows, place.rank), room.b, ranks * room.rows + place.b, room.type,
         stream);
    table.push_back(place);
  }
  for (const auto& [weight, table] : tables) SetTable(rooms_.at(weight), slot, table, stream);
  Wait(stream);
}

void Adapters::CheckSlots(const StepView& step) const {
  for (int s = 0; s < step.sequences; ++s) {
    const int slot = step.sequence_rows[s].adapter;
    Expect(slot < slots_, "adapter " + std::to_string(slot) + " is not loaded");
  }
}

void Adapters::CheckRanks(const Adapter& adapter) const {
  const int rank = adapter.LargestRank();
  Expect(rank <= rank_, "adapterRank is " + std::to_string(rank_) +
                            ", the adapter has matrices of rank " + std::to_string(rank));
}

}  // namespace octavo::cuda
