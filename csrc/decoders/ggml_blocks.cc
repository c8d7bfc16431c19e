#include "ggml_blocks.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "../cpu/half.h"
#include "stored_codes.h"

// Each format says how many numbers a block holds, in how many bytes, and the form that holds them
// exactly. Its Decode writes a block's codes, and a scale and a minimum a group.
//
// The formats of 32 numbers keep the first 16 in the low halves of 16 bytes, the others in the high
// ones. The "K" formats hold 256 numbers, whose groups have scales of a few bits times one float16.

namespace octavo {
namespace {

float Half(const uint8_t* at) {
  return cpu::ToFloat(cpu::Float16{static_cast<uint16_t>(at[0] | at[1] << 8)});
}

void SplitHalves(const uint8_t* bytes, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) {
    codes[i] = bytes[i] & 15;
    codes[count + i] = bytes[i] >> 4;
  }
}

// Signed numbers as codes of 8 bits.
constexpr int kMiddle = 128;

void SetSymmetric(const CodeRow& to, int group, float scale, int middle) {
  to.scales[group] = scale;
  to.minimums[group] = -static_cast<float>(middle) * scale;
}

struct Q40 {
  static constexpr int kNumbers = 32, kBytes = 18, kBits = 4, kGroup = 32;
  static constexpr CodeTraits kTraits = {true, true};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SetSymmetric(to, 0, Half(block), 8);
    SplitHalves(block + 2, 16, to.codes);
  }
};

struct Q41 {
  static constexpr int kNumbers = 32, kBytes = 20, kBits = 4, kGroup = 32;
  static constexpr CodeTraits kTraits = {false, true};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    to.scales[0] = Half(block);
    to.minimums[0] = Half(block + 2);
    SplitHalves(block + 4, 16, to.codes);
  }
};

// The fifth bits of 32 numbers, 4 bytes.
void AddFifthBits(const uint8_t* bits, uint8_t* codes) {
  for (int i = 0; i < 32; ++i) codes[i] |= static_cast<uint8_t>((bits[i / 8] >> i % 8 & 1) << 4);
}

struct Q50 {
  static constexpr int kNumbers = 32, kBytes = 22, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {true, true};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SetSymmetric(to, 0, Half(block), kMiddle);
    SplitHalves(block + 6, 16, to.codes);
    AddFifthBits(block + 2, to.codes);
    for (int i = 0; i < kNumbers; ++i) to.codes[i] += kMiddle - 16;
  }
};

struct Q51 {
  static constexpr int kNumbers = 32, kBytes = 24, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {false, true};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    to.scales[0] = Half(block);
    to.minimums[0] = Half(block + 2);
    SplitHalves(block + 8, 16, to.codes);
    AddFifthBits(block + 4, to.codes);
  }
};

struct Q80 {
  static constexpr int kNumbers = 32, kBytes = 34, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {true, true};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SetSymmetric(to, 0, Half(block), kMiddle);
    for (int i = 0; i < kNumbers; ++i) to.codes[i] = static_cast<uint8_t>(block[2 + i] ^ kMiddle);
  }
};

// Where two bits of number i of a block of 256 lie: in byte 32 × (i / 128) + i % 32.
int TwoBits(const uint8_t* bytes, int i) {
  return bytes[i / 128 * 32 + i % 32] >> i / 32 % 4 * 2 & 3;
}

struct Q2K {
  static constexpr int kNumbers = 256, kBytes = 84, kBits = 4, kGroup = 16;
  static constexpr CodeTraits kTraits = {false, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    const float scale = Half(block + 80), minimum = Half(block + 82);
    for (int group = 0; group < 16; ++group) {
      to.scales[group] = scale * static_cast<float>(block[group] & 15);
      to.minimums[group] = -(minimum * static_cast<float>(block[group] >> 4));
    }
    for (int i = 0; i < kNumbers; ++i) to.codes[i] = static_cast<uint8_t>(TwoBits(block + 16, i));
  }
};

struct Q3K {
  static constexpr int kNumbers = 256, kBytes = 110, kBits = 8, kGroup = 16;
  static constexpr CodeTraits kTraits = {true, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    const uint8_t *high = block, *low = block + 32, *scales = block + 96;
    const float scale = Half(block + 108);
    for (int group = 0; group < 16; ++group) {
      const int four = group < 8 ? scales[group] & 15 : scales[group - 8] >> 4;
      const int two = scales[8 + group % 4] >> group / 4 * 2 & 3;
      SetSymmetric(to, group, scale * static_cast<float>((four | two << 4) - 32), kMiddle);
    }
    for (int i = 0; i < kNumbers; ++i) {
      const int third = high[i % 32] >> i / 32 & 1;
      to.codes[i] = static_cast<uint8_t>(kMiddle - 4 + (TwoBits(low, i) | third << 2));
    }
  }
};

// The eight scales and minimums of Q4_K and Q5_K: 12 bytes of 6 bits each.
void SixBitScales(const uint8_t* block, const CodeRow& to) {
  const float scale = Half(block), minimum = Half(block + 2);
  const uint8_t* bits = block + 4;
  for (int group = 0; group < 8; ++group) {
    int factor = bits[group % 4] & 63, least = bits[group % 4 + 4] & 63;
    if (group >= 4) {
      factor = (bits[group + 4] & 15) | bits[group - 4] >> 6 << 4;
      least = bits[group + 4] >> 4 | bits[group] >> 6 << 4;
    }
    to.scales[group] = scale * static_cast<float>(factor);
    to.minimums[group] = -(minimum * static_cast<float>(least));
  }
}

struct Q4K {
  static constexpr int kNumbers = 256, kBytes = 144, kBits = 4, kGroup = 32;
  static constexpr CodeTraits kTraits = {false, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SixBitScales(block, to);
    for (int i = 0; i < 4; ++i) SplitHalves(block + 16 + i * 32, 32, to.codes + i * 64);
  }
};

struct Q5K {
  static constexpr int kNumbers = 256, kBytes = 176, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {false, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SixBitScales(block, to);
    const uint8_t* fifth = block + 16;
    for (int i = 0; i < 4; ++i) SplitHalves(block + 48 + i * 32, 32, to.codes + i * 64);
    for (int i = 0; i < kNumbers; ++i)
      to.codes[i] |= static_cast<uint8_t>((fifth[i % 32] >> i / 32 & 1) << 4);
  }
};

struct Q6K {
  static constexpr int kNumbers = 256, kBytes = 210, kBits = 8, kGroup = 16;
  static constexpr CodeTraits kTraits = {true, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    const float scale = Half(block + 208);
    for (int group = 0; group < 16; ++group) {
      const auto factor = static_cast<int8_t>(block[192 + group]);
      SetSymmetric(to, group, scale * static_cast<float>(factor), kMiddle);
    }
    for (int i = 0; i < 4; ++i) {  // 64 numbers, from 32 bytes' low halves and from their high ones
      const uint8_t* low = block + i / 2 * 64;
      for (int k = 0; k < 64; ++k) to.codes[i * 64 + k] = i % 2 == 0 ? low[k] & 15 : low[k] >> 4;
    }
    for (int i = 0; i < kNumbers; ++i)
      to.codes[i] =
          static_cast<uint8_t>(kMiddle - 32 + (to.codes[i] | TwoBits(block + 128, i) << 4));
  }
};

// Formats whose 4 bits choose one of 16 numbers of at most 8 bits.
constexpr int8_t kIq4Table[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
// Twice the numbers of a float of 4 bits.
constexpr int8_t kFloat4Table[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

void LookUp(const int8_t* table, int count, uint8_t* codes) {
  for (int i = 0; i < count; ++i) codes[i] = static_cast<uint8_t>(table[codes[i]] + kMiddle);
}

struct Iq4Nl {
  static constexpr int kNumbers = 32, kBytes = 18, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {true, true};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SetSymmetric(to, 0, Half(block), kMiddle);
    SplitHalves(block + 2, 16, to.codes);
    LookUp(kIq4Table, kNumbers, to.codes);
  }
};

struct Iq4Xs {
  static constexpr int kNumbers = 256, kBytes = 136, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {true, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    const float scale = Half(block);
    const int high = block[2] | block[3] << 8;
    for (int group = 0; group < 8; ++group) {
      const int low = block[4 + group / 2] >> group % 2 * 4 & 15;
      const int factor = (low | (high >> group * 2 & 3) << 4) - 32;
      SetSymmetric(to, group, scale * static_cast<float>(factor), kMiddle);
      SplitHalves(block + 8 + group * 16, 16, to.codes + group * 32);
    }
    LookUp(kIq4Table, kNumbers, to.codes);
  }
};

struct Mxfp4 {
  static constexpr int kNumbers = 32, kBytes = 17, kBits = 8, kGroup = 32;
  static constexpr CodeTraits kTraits = {true, false};
  static void Decode(const uint8_t* block, const CodeRow& to) {
    SetSymmetric(to, 0, std::ldexp(1.0f, block[0] - 128), kMiddle);  // the table is twice as large
    SplitHalves(block + 1, 16, to.codes);
    LookUp(kFloat4Table, kNumbers, to.codes);
  }
};

template <class Block>
class BlockRows : public StoredCodes {
 public:
  BlockRows(const uint8_t* data, int64_t cols)
      : StoredCodes(cols, {Block::kBits, Block::kGroup}), data_(data) {}

 protected:
  void Decode(int64_t row, const CodeRow& to) const override {
    const int64_t blocks = cols() / Block::kNumbers;
    const uint8_t* block = data_ + row * blocks * Block::kBytes;
    CodeRow at = to;
    for (int64_t i = 0; i < blocks; ++i) {
      Block::Decode(block, at);
      block += Block::kBytes;
      at.codes += Block::kNumbers;
      at.scales += Block::kNumbers / Block::kGroup;
      at.minimums += Block::kNumbers / Block::kGroup;
    }
  }

  CodeTraits StoredTraits() const override { return Block::kTraits; }

 private:
  const uint8_t* data_;
};

struct Format {
  const char* name;
  int numbers, bytes;
  std::shared_ptr<const RowDecoder> (*make)(const uint8_t* data, int64_t cols);
};

template <class Block>
Format FormatOf(const char* name) {
  return {name, Block::kNumbers, Block::kBytes,
          [](const uint8_t* data, int64_t cols) -> std::shared_ptr<const RowDecoder> {
            return std::make_shared<BlockRows<Block>>(data, cols);
          }};
}

const Format kFormats[] = {
    FormatOf<Q40>("q4_0"),    FormatOf<Q41>("q4_1"),     FormatOf<Q50>("q5_0"),
    FormatOf<Q51>("q5_1"),    FormatOf<Q80>("q8_0"),     FormatOf<Q2K>("q2_k"),
    FormatOf<Q3K>("q3_k"),    FormatOf<Q4K>("q4_k"),     FormatOf<Q5K>("q5_k"),
    FormatOf<Q6K>("q6_k"),    FormatOf<Iq4Nl>("iq4_nl"), FormatOf<Iq4Xs>("iq4_xs"),
    FormatOf<Mxfp4>("mxfp4"),
};

const Format* Find(const std::string& name) {
  const auto* found = std::find_if(std::begin(kFormats), std::end(kFormats),
                                   [&](const Format& format) { return name == format.name; });
  return found == std::end(kFormats) ? nullptr : found;
}

}  // namespace

uint64_t GgmlRowBytes(const std::string& format, int64_t cols) {
  const Format* found = Find(format);
  if (found == nullptr || cols % found->numbers != 0) return 0;
  return static_cast<uint64_t>(cols / found->numbers) * static_cast<uint64_t>(found->bytes);
}

std::shared_ptr<const RowDecoder> GgmlRows(const std::string& format, const uint8_t* data,
                                           int64_t cols) {
  return Find(format)->make(data, cols);
}

}  // namespace octavo
