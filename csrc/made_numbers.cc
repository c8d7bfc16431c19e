#include "made_numbers.h"

#include <cmath>
#include <cstring>

#include "cpu/half.h"

namespace octavo {
namespace {

// Numbers in [0, 1).
class Uniform {
 public:
  explicit Uniform(uint32_t seed) : state_(seed) {}

  double Next() {
    state_ += 0x6d2b79f5u;
    uint32_t mixed = (state_ ^ state_ >> 15) * (state_ | 1);
    mixed ^= mixed + (mixed ^ mixed >> 7) * (mixed | 61);
    return (mixed ^ mixed >> 14) * 0x1p-32;
  }

 private:
  uint32_t state_;
};

template <class T>
float RoundedTo(float number) {
  T element;
  cpu::FromFloat(number, &element);
  return cpu::ToFloat(element);
}

template <class T>
std::vector<uint8_t> ElementsOf(const std::vector<float>& numbers) {
  std::vector<uint8_t> elements(numbers.size() * sizeof(T));
  for (size_t i = 0; i < numbers.size(); ++i) {
    T element;
    cpu::FromFloat(numbers[i], &element);
    std::memcpy(elements.data() + i * sizeof element, &element, sizeof element);
  }
  return elements;
}

}  // namespace

// In double precision and in this order, as the tests do it.
std::vector<float> MadeNumbers::Make() const {
  Uniform uniform(seed);
  std::vector<float> numbers(count);
  for (float& number : numbers) {
    double sum = uniform.Next();
    for (int i = 0; i < 3; ++i) sum += uniform.Next();
    const double normal = (sum - 2) * std::sqrt(3.0) * deviation;
    number = static_cast<float>(normal * (uniform.Next() < 0.01 ? outlier : 1));
    if (type == Type::kBFloat16) number = RoundedTo<cpu::BFloat16>(number);
    if (type == Type::kFloat16) number = RoundedTo<cpu::Float16>(number);
  }
  return numbers;
}

std::vector<uint8_t> MadeNumbers::MakeElements() const {
  switch (type) {
    case Type::kFloat32: return ElementsOf<float>(Make());
    case Type::kBFloat16: return ElementsOf<cpu::BFloat16>(Make());
    case Type::kFloat16: return ElementsOf<cpu::Float16>(Make());
  }
  return {};
}

}  // namespace octavo
