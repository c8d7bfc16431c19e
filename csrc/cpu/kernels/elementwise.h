// Kernels that treat each row alone: norm, activation, scale, and what drawing needs of logits.
#pragma once

#include "vector_math.h"

namespace octavo::cpu {

template <class V>
struct Norm {
  // The sum over a row of (x - mean)², or of x when `Square` is false.
  template <bool Square>
  static float Sum(const float* row, int cols, float mean) {
    constexpr int kParts = kSumLanes / V::kLanes;
    V sums[kParts];
    for (V& sum : sums) sum = V::Set(0);
    for (int i = 0; i < cols; i += kSumLanes) {
      for (int part = 0; part < kParts; ++part) {
        const int at = i + part * V::kLanes;
        if (at >= cols) break;
        const V x = Math<V>::LoadFirst(row + at, cols - at, mean) - V::Set(mean);
        sums[part] = Square ? V::Fma(x, x, sums[part]) : sums[part] + x;
      }
    }
    float lanes[kSumLanes];
    for (int part = 0; part < kParts; ++part) sums[part].Store(lanes + part * V::kLanes);
    return Math<V>::Tree(lanes);
  }

  static void Add(const float* input, int cols, float* residual) {
    for (int i = 0; i < cols; ++i) residual[i] += input[i];
  }

  // `out` may be `x`.
  static void Row(const NormArgs& args, const float* x, float* out) {
    const float mean = args.layer ? Sum<false>(x, args.cols, 0) / static_cast<float>(args.cols) : 0;
    const float variance = Sum<true>(x, args.cols, mean) / static_cast<float>(args.cols);
    const float inverse = 1.0f / sqrtf(variance + args.eps);
    for (int i = 0; i < args.cols; ++i) {
      float y = (x[i] - mean) * inverse;
      if (args.weight != nullptr) y *= args.weight[i];
      if (args.bias != nullptr) y += args.bias[i];
      out[i] = y;
    }
  }

  static void Run(const NormArgs& args, int first_row, int last_row) {
    for (int row = first_row; row < last_row; ++row) {
      const int64_t offset = static_cast<int64_t>(row) * args.cols;
      const float* x = args.input + offset;
      if (args.residual != nullptr) {
        Add(x, args.cols, args.residual + offset);
        x = args.residual + offset;
      }
      Row(args, x, args.out + offset);
    }
  }
};

template <class V>
struct Activate {
  // x / (1 + e^-u)
  static V Logistic(V x, V u) { return x / (V::Set(1) + Math<V>::Exp(V::Set(0) - u)); }

  static V Silu(V x) { return Logistic(x, x); }
  static V Relu(V x) { return V::Max(x, V::Set(0)); }
  static V ReluSquared(V x) { return Relu(x) * Relu(x); }
  static V GeluQuick(V x) { return Logistic(x, x * V::Set(1.702f)); }

  // 0.5·(1 + tanh(u)) is the logistic function of 2u.
  static V GeluTanh(V x) {
    const V u = V::Fma(x * x * x, V::Set(0.044715f), x) * V::Set(1.5957691216f);  // 2·sqrt(2/π)
    return Logistic(x, u);
  }

  // x·erfc(-x/√2)/2, with erfc(z) = t·e^(p(t) - z²) for z >= 0, t = 1 / (1 + z/2); p is a Chebyshev
  // fit of degree 9 over z in [0, 10], in the variable that runs over [-1, 1]: 5e-8 relative.
  static V Gelu(V x) {
    const V zero = V::Set(0);
    const V z = V::Min(V::Set(10), V::Max(x, zero - x) * V::Set(0.70710678f));
    const V t = V::Set(1) / V::Fma(z, V::Set(0.5f), V::Set(1));
    const V s = V::Fma(t, V::Set(2.4f), V::Set(-1.4f));
    constexpr float kFit[] = {5.60396816e-5f, 7.24096890e-5f,  -5.36968179e-4f, -2.25322784e-4f,
                              3.70945598e-3f, -1.06381156e-3f, -2.94708840e-2f, 1.57473877e-2f,
                              5.70307144e-1f, -5.58595401e-1f};
    V p = V::Set(kFit[0]);
    for (int i = 1; i < 10; ++i) p = V::Fma(p, s, V::Set(kFit[i]));
    const V half_erfc = V::Set(0.5f) * t * Math<V>::Exp(V::Fma(zero - z, z, p));
    return x * V::SelectBelow(x, zero, half_erfc, V::Set(1) - half_erfc);
  }

  struct Xielu {
    V rise, fall, beta, eps;

    explicit Xielu(const float* parameters)
        : rise(V::Set(Softplus(parameters[0]))),
          fall(V::Set(parameters[2] + Softplus(parameters[1]))),
          beta(V::Set(parameters[2])),
          eps(V::Set(parameters[3])) {}

    static float Softplus(float x) { return x > 20 ? x : log1pf(expf(x)); }

    V operator()(V x) const {
      const V negative = fall * (Math<V>::Exp(V::Min(x, eps)) - V::Set(1) - x);
      return V::Fma(beta, x, V::SelectBelow(V::Set(0), x, rise * x * x, negative));
    }
  };

  template <class Function>
  static void Rows(const ActivationArgs& args, int first_row, int last_row, Function function) {
    for (int64_t row = first_row; row < last_row; ++row) {
      const float* input = args.input + row * args.cols * (args.gated ? 2 : 1);
      float* out = args.out + row * args.cols;
      for (int i = 0; i < args.cols; i += V::kLanes) {
        const int count = args.cols - i;
        V y = function(Math<V>::LoadFirst(input + i, count, 0));
        if (args.gated) y = y * Math<V>::LoadFirst(input + args.cols + i, count, 0);
        Math<V>::StoreFirst(y, count, out + i);
      }
    }
  }

  static V ClampedSwiglu(V gate, V up) {
    const V most = V::Set(7), least = V::Set(-7);
    const V limited = V::Min(gate, most);
    const V clamped = V::Max(V::Min(up, most), least);
    return Logistic(limited, limited * V::Set(1.702f)) * (clamped + V::Set(1));
  }

  static void ClampedRows(const ActivationArgs& args, int first_row, int last_row) {
    for (int64_t row = first_row; row < last_row; ++row) {
      const float* gate = args.input + row * 2 * args.cols;
      const float* up = gate + args.cols;
      for (int i = 0; i < args.cols; i += V::kLanes) {
        const int count = args.cols - i;
        const V y = ClampedSwiglu(Math<V>::LoadFirst(gate + i, count, 0),
                                  Math<V>::LoadFirst(up + i, count, 0));
        Math<V>::StoreFirst(y, count, args.out + row * args.cols + i);
      }
    }
  }

  static void Run(const ActivationArgs& args, int first_row, int last_row) {
    switch (args.activation) {
      case Activation::kSilu: return Rows(args, first_row, last_row, Silu);
      case Activation::kGelu: return Rows(args, first_row, last_row, Gelu);
      case Activation::kGeluTanh: return Rows(args, first_row, last_row, GeluTanh);
      case Activation::kGeluQuick: return Rows(args, first_row, last_row, GeluQuick);
      case Activation::kRelu: return Rows(args, first_row, last_row, Relu);
      case Activation::kReluSquared: return Rows(args, first_row, last_row, ReluSquared);
      case Activation::kXielu: return Rows(args, first_row, last_row, Xielu(args.parameters));
      case Activation::kClampedSwiglu: return ClampedRows(args, first_row, last_row);
    }
  }
};

template <class V>
struct Scale {
  static void Run(const ScaleArgs& args, int64_t first, int64_t last) {
    const bool capped = args.cap > 0;
    const V factor = V::Set(capped ? args.factor / args.cap : args.factor);
    for (int64_t i = first; i < last; i += V::kLanes) {
      const int count = static_cast<int>(last - i < V::kLanes ? last - i : V::kLanes);
      V y = Math<V>::LoadFirst(args.input + i, count, 0) * factor;
      if (capped) y = V::Set(args.cap) * Math<V>::Tanh(y);
      Math<V>::StoreFirst(y, count, args.out + i);
    }
  }
};

template <class V>
struct Largest {
  static float Run(const float* values, int n) {
    constexpr int kChains = 4;
    V largest[kChains];
    for (V& chain : largest) chain = V::Set(-HUGE_VALF);
    int i = 0;
    for (; i + kChains * V::kLanes <= n; i += kChains * V::kLanes) {
      for (int c = 0; c < kChains; ++c) {  // the second operand of Max stays where the first is NaN
        largest[c] = V::Max(V::Load(values + i + c * V::kLanes), largest[c]);
      }
    }
    for (; i < n; i += V::kLanes) {
      largest[0] = V::Max(Math<V>::LoadFirst(values + i, n - i, -HUGE_VALF), largest[0]);
    }
    for (int c = 1; c < kChains; ++c) largest[0] = V::Max(largest[c], largest[0]);
    float lanes[V::kLanes];
    largest[0].Store(lanes);
    for (int lane = 1; lane < V::kLanes; ++lane) {
      lanes[0] = lanes[lane] > lanes[0] ? lanes[lane] : lanes[0];
    }
    return lanes[0];
  }
};

template <class V>
struct ExpShifted {
  static void Run(const float* from, float shift, int n, float* to) {
    for (int i = 0; i < n; i += V::kLanes) {
      const V x = Math<V>::LoadFirst(from + i, n - i, 0);
      Math<V>::StoreFirst(Math<V>::Exp(x - V::Set(shift)), n - i, to + i);
    }
  }
};

}  // namespace octavo::cpu
