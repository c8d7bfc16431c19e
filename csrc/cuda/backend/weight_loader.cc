#include "weight_loader.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "../../cpu/half.h"
#include "../../cpu/packed_codes.h"

namespace octavo::cuda {
namespace {

constexpr size_t kHalfBytes = size_t{16} << 20;
// What a thread fills at a time: some dozens of pieces a half.
constexpr size_t kPieceBytes = size_t{256} << 10;

size_t ScaleBytesOf(const CodesView& view) {
  return static_cast<size_t>(view.groups) * 2 * SizeOf(view.half ? Type::kFloat16 : Type::kFloat32);
}

size_t PiecesOf(size_t whole, size_t piece) { return (whole + piece - 1) / piece; }

template <class From, class To>
void Convert(const uint8_t* from, size_t count, uint8_t* to) {
  for (size_t i = 0; i < count; ++i) {
    From value;
    std::memcpy(&value, from + i * sizeof(From), sizeof(From));
    To converted;
    cpu::FromFloat(cpu::ToFloat(value), &converted);
    std::memcpy(to + i * sizeof(To), &converted, sizeof(To));
  }
}

template <class From>
void ConvertTo(Type type, const uint8_t* from, size_t count, uint8_t* to) {
  switch (type) {
    case Type::kFloat32: return Convert<From, float>(from, count, to);
    case Type::kBFloat16: return Convert<From, cpu::BFloat16>(from, count, to);
    case Type::kFloat16: return Convert<From, cpu::Float16>(from, count, to);
    default: break;
  }
  throw std::runtime_error(std::string("the CUDA backend cannot store weights as ") + NameOf(type));
}

// Rows as the kernels read them (CodesView).
void PackRows(const RowDecoder& decoder, const Quantization& form, const CodesView& view,
              size_t first, size_t rows, uint8_t* codes, uint8_t* scales) {
  const auto cols = static_cast<size_t>(decoder.cols());
  const auto groups = static_cast<size_t>(view.groups);
  std::vector<uint8_t> row_codes(cols);
  std::vector<float> row_scales(groups), minimums(groups), scratch(cols), pairs(2 * groups);
  const Type stored = view.half ? Type::kFloat16 : Type::kFloat32;
  for (size_t row = first; row < first + rows; ++row) {
    decoder.Codes(static_cast<int64_t>(row), form, scratch.data(),
                  {row_codes.data(), row_scales.data(), minimums.data()});
    std::memset(codes, 0, static_cast<size_t>(view.row_bytes));
    for (size_t c = 0; c < cols; ++c) {
      uint8_t& byte = codes[view.bits == 8 ? c : c / 2];
      byte = static_cast<uint8_t>(byte | row_codes[c] << (view.bits == 8 ? 0 : c % 2 * 4));
    }
    for (size_t g = 0; g < groups; ++g) {
      pairs[2 * g] = row_scales[g];
      pairs[2 * g + 1] = minimums[g];
    }
    ConvertElements(pairs.data(), Type::kFloat32, pairs.size(), stored, scales);
    codes += view.row_bytes;
    scales += pairs.size() * SizeOf(stored);
  }
}

}  // namespace

void ConvertElements(const void* from, Type from_type, size_t count, Type to_type, void* to) {
  const auto* source = static_cast<const uint8_t*>(from);
  auto* target = static_cast<uint8_t*>(to);
  if (from_type == to_type && count > 0) {
    std::memcpy(to, from, count * SizeOf(to_type));
    return;
  }
  switch (from_type) {
    case Type::kFloat32: return ConvertTo<float>(to_type, source, count, target);
    case Type::kBFloat16: return ConvertTo<cpu::BFloat16>(to_type, source, count, target);
    case Type::kFloat16: return ConvertTo<cpu::Float16>(to_type, source, count, target);
    default: break;
  }
  throw std::runtime_error(std::string("the CUDA backend cannot load tensors of ") +
                           NameOf(from_type));
}

void ConvertPiece(const TensorView& source, size_t first, size_t count, Type type, uint8_t* to) {
  if (source.rows == nullptr) {
    const auto* from = static_cast<const uint8_t*>(source.data) + first * SizeOf(source.type);
    return ConvertElements(from, source.type, count, type, to);
  }
  const auto cols = static_cast<size_t>(source.rows->cols());
  std::vector<float> numbers(cols);
  for (size_t i = 0; i < count; i += cols) {
    source.rows->Numbers(static_cast<int64_t>((first + i) / cols), numbers.data());
    ConvertElements(numbers.data(), Type::kFloat32, cols, type, to + i * SizeOf(type));
  }
}

std::shared_ptr<const DeviceWeight> WeightLoader::Load(const Weight& weight,
                                                       const std::vector<TensorView>& sources,
                                                       Stream stream) {
  if (pool_ == nullptr) pool_ = std::make_unique<cpu::ThreadPool>(threads_);
  if (weight.quantization) return LoadCodes(weight, sources, stream);
  auto loaded = std::make_shared<DeviceWeight>();
  loaded->type = weight.matrix ? weight.type : Type::kFloat32;
  loaded->rows = weight.rows;
  loaded->cols = weight.cols;
  const auto count = static_cast<size_t>(weight.rows * weight.cols);
  loaded->memory = AllocateDevice(count * SizeOf(loaded->type));
  auto* to = static_cast<uint8_t*>(loaded->memory.get());
  for (const TensorView& source : sources) {
    Send(source, loaded->type, to, stream);
    to += static_cast<size_t>(source.Count()) * SizeOf(loaded->type);
  }
  return loaded;
}

std::shared_ptr<const DeviceWeight> WeightLoader::LoadCodes(const Weight& weight,
                                                            const std::vector<TensorView>& sources,
                                                            Stream stream) {
  Quantization form = weight.quantization;
  if (form.bits > 8)
    throw std::runtime_error("the CUDA backend cannot store weights as " + NameOf(form));
  std::vector<cpu::SourceRows> rows;
  for (size_t i = 0; i < sources.size(); ++i)
    rows.push_back({DecoderOf(sources[i], weight.cols), weight.sources[i].rows});
  const std::vector<int32_t> order = cpu::ColumnOrderOf(&rows, &form);
  CodeTraits traits;
  traits.half = true;
  for (const auto& source : rows) {
    const CodeTraits own = source.decoder->Traits(form);
    traits.half = traits.half && own.half;
    traits.levels = own.levels;
  }
  auto loaded = std::make_shared<DeviceWeight>();
  loaded->rows = weight.rows;
  loaded->cols = weight.cols;
  CodesView& view = loaded->codes;
  view.bits = form.bits;
  view.row_bytes = static_cast<int>((weight.cols + 31) / 32 * 32 * form.bits / 8);
  view.group = static_cast<int>(form.group == 0 ? weight.cols : form.group);
  view.groups = static_cast<int>(GroupsOf(form, weight.cols));
  view.half = traits.half;
  const auto count = static_cast<size_t>(weight.rows);
  loaded->memory = AllocateDevice(count * static_cast<size_t>(view.row_bytes));
  loaded->scales = AllocateDevice(count * ScaleBytesOf(view));
  int64_t row = 0;
  for (const cpu::SourceRows& source : rows) {
    SendCodes(source, form, row, *loaded, stream);
    row += source.rows;
  }
  view.codes = static_cast<const uint8_t*>(loaded->memory.get());
  view.scales = loaded->scales.get();
  if (traits.levels != nullptr) {
    const auto& whole = traits.levels->whole;
    loaded->levels = OnDevice(std::vector<float>(whole.begin(), whole.end()), stream);
    view.levels = static_cast<const float*>(loaded->levels.get());
  }
  if (!order.empty()) {
    loaded->order = OnDevice(order, stream);
    view.order = static_cast<const int32_t*>(loaded->order.get());
  }
  return loaded;
}

template <class Fill, class Copy>
void WeightLoader::InHalves(size_t items, size_t item_bytes, size_t unit, Stream stream,
                            const Fill& fill, const Copy& copy) {
  const size_t piece = PiecesOf(PiecesOf(kPieceBytes, item_bytes), unit) * unit;
  const size_t most = std::max(kHalfBytes / item_bytes / piece, size_t{1}) * piece;
  for (size_t first = 0; first < items; first += most) {
    const Part part{first, std::min(most, items - first)};
    uint8_t* half = NextHalf(part.count * item_bytes);
    pool_->ParallelFor(static_cast<int>(PiecesOf(part.count, piece)), [&](int i, int) {
      const size_t begin = static_cast<size_t>(i) * piece;
      fill(half, part, begin, std::min(piece, part.count - begin));
    });
    copy(half, part);
    Record(halves_[next_].sent.get(), stream);
    next_ ^= 1;
  }
}

void WeightLoader::Send(const TensorView& source, Type type, uint8_t* to, Stream stream) {
  const size_t bytes = SizeOf(type);
  const size_t row = source.rows == nullptr ? 1 : static_cast<size_t>(source.rows->cols());
  const auto fill = [&](uint8_t* half, const Part& part, size_t begin, size_t count) {
    ConvertPiece(source, part.first + begin, count, type, half + begin * bytes);
  };
  const auto copy = [&](const uint8_t* half, const Part& part) {
    CopyToDevice(to + part.first * bytes, half, part.count * bytes, stream);
  };
  InHalves(static_cast<size_t>(source.Count()), bytes, row, stream, fill, copy);
}

// A half holds the codes of its rows, and behind them their scales.
void WeightLoader::SendCodes(const cpu::SourceRows& source, const Quantization& form, int64_t row,
                             const DeviceWeight& to, Stream stream) {
  const auto code_bytes = static_cast<size_t>(to.codes.row_bytes);
  const size_t scale_bytes = ScaleBytesOf(to.codes);
  const auto fill = [&](uint8_t* half, const Part& part, size_t begin, size_t count) {
    PackRows(*source.decoder, form, to.codes, part.first + begin, count, half + begin * code_bytes,
             half + part.count * code_bytes + begin * scale_bytes);
  };
  const auto copy = [&](const uint8_t* half, const Part& part) {
    const size_t at = static_cast<size_t>(row) + part.first;
    CopyToDevice(static_cast<uint8_t*>(to.memory.get()) + at * code_bytes, half,
                 part.count * code_bytes, stream);
    CopyToDevice(static_cast<uint8_t*>(to.scales.get()) + at * scale_bytes,
                 half + part.count * code_bytes, part.count * scale_bytes, stream);
  };
  InHalves(static_cast<size_t>(source.rows), code_bytes + scale_bytes, 1, stream, fill, copy);
}

uint8_t* WeightLoader::NextHalf(size_t bytes) {
  Half& half = halves_[next_];
  if (half.sent == nullptr)
    half.sent = CreateEvent();
  else
    WaitOnHost(half.sent.get());
  if (half.bytes < bytes) {
    half.bytes = std::max(bytes, kHalfBytes);
    half.memory = AllocatePinned(half.bytes);
  }
  return static_cast<uint8_t*>(half.memory.get());
}

void WeightLoader::Release() {
  for (Half& half : halves_) half = Half();
  pool_.reset();
}

}  // namespace octavo::cuda
