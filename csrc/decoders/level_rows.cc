#include "level_rows.h"

#include <array>
#include <numeric>
#include <optional>

#include "scales.h"
#include "stored_codes.h"

namespace octavo {
namespace {

using Levels = std::array<float, CodeLevels::kCount>;

// A sign bit, two of the exponent, one of the fraction.
constexpr Levels kFloat4 = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6, 0, -0.5f, -1, -1.5f, -2, -3, -4, -6};

Levels ReadLevels(const StoredPart& part) {
  Levels levels;
  if (part.type != "F32" || part.bytes != sizeof levels)
    throw std::runtime_error("levels are not 16 of F32");
  std::memcpy(levels.data(), part.data, sizeof levels);
  return levels;
}

// Scales that are quantised themselves.
class NestedScales {
 public:
  NestedScales(const StoredTensor& tensor, int64_t count)
      : codes_(tensor.Part("scales").data),
        levels_(tensor.Part("scaleLevels"), kLevels),
        scales_(tensor.Part("scaleScales"), (count + kGroup - 1) / kGroup),
        offset_(tensor.offset) {
    if (tensor.Part("scales").bytes != static_cast<uint64_t>(count))
      throw std::runtime_error("expected " + std::to_string(count) + " bytes of scales");
  }

  float operator[](int64_t i) const { return levels_[codes_[i]] * scales_[i / kGroup] + offset_; }

 private:
  static constexpr int64_t kLevels = 256, kGroup = 256;

  const uint8_t* codes_;
  Scales levels_, scales_;
  float offset_;
};

class LevelDecoder : public StoredCodes {
 public:
  // A stored group is what both a row and the numbers that share a scale consist of.
  LevelDecoder(const StoredTensor& tensor, const Levels& levels, bool high_first)
      : StoredCodes(tensor.cols, {4, static_cast<int>(std::gcd(tensor.cols, tensor.group)), true}),
        data_(tensor.codes.data),
        shared_(tensor.group),
        group_(std::gcd(tensor.cols, tensor.group)),
        levels_(levels),
        whole_(NearestLevels(levels)),
        high_first_(high_first) {
    const int64_t count = tensor.rows * tensor.cols, scales = (count + shared_ - 1) / shared_;
    if (tensor.codes.bytes != static_cast<uint64_t>((count + 1) / 2))
      throw std::runtime_error(std::to_string(tensor.codes.bytes) + " bytes for " +
                               std::to_string(count) + " numbers of 4 bits");
    if (tensor.Part("scales").type == "U8") {
      nested_.emplace(tensor, scales);
    } else {
      scales_.emplace(tensor.Part("scales"), scales);
    }
  }

  // Exactly, where the codes' levels are rounded to whole numbers.
  void Numbers(int64_t row, float* to) const override {
    for (int64_t i = 0; i < cols(); ++i) {
      const int64_t at = row * cols() + i;
      to[i] = levels_[CodeAt(at)] * ScaleAt(at);
    }
  }

 protected:
  void Decode(int64_t row, const CodeRow& to) const override {
    const int64_t first = row * cols();
    for (int64_t i = 0; i < cols(); ++i) to.codes[i] = CodeAt(first + i);
    for (int64_t i = 0, group = 0; i < cols(); i += group_, ++group) {
      to.scales[group] = ScaleAt(first + i) * whole_.step;
      to.minimums[group] = -CodeLevels::kMiddle * to.scales[group];
    }
  }
  CodeTraits StoredTraits() const override { return {true, false, &whole_}; }

 private:
  uint8_t CodeAt(int64_t i) const {
    const uint8_t two = data_[i / 2];
    return (i % 2 == 0) == high_first_ ? two >> 4 : two & 15;
  }
  float ScaleAt(int64_t i) const {
    return nested_ ? (*nested_)[i / shared_] : (*scales_)[i / shared_];
  }

  const uint8_t* data_;
  int64_t shared_, group_;  // numbers that share a scale; columns of a row that surely do
  Levels levels_;
  CodeLevels whole_;
  bool high_first_;
  std::optional<Scales> scales_;
  std::optional<NestedScales> nested_;
};

}  // namespace

bool IsLevels(const std::string& encoding) {
  return encoding == "levels4" || encoding == "mxfp4_pairs";
}

std::shared_ptr<const RowDecoder> LevelRows(const StoredTensor& tensor) {
  if (tensor.group <= 0) throw std::runtime_error("levels without a group");
  const bool floats = tensor.encoding == "mxfp4_pairs";
  const Levels levels = floats ? kFloat4 : ReadLevels(tensor.Part("levels"));
  return std::make_shared<LevelDecoder>(tensor, levels, !floats);
}

}  // namespace octavo
