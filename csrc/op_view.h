// What every backend reads of an op when it makes it ready. All of it throws std::runtime_error.
#pragma once

#include <map>
#include <stdexcept>
#include <string>

#include "activation.h"
#include "plan.h"

namespace octavo {

inline void Expect(bool condition, const std::string& message) {
  if (!condition) throw std::runtime_error(message);
}

// One op within its plan.
struct OpView {
  const Plan& plan;
  const Op& op;

  const Value& Input(size_t index) const {
    Expect(index < op.inputs.size(), "expected more inputs");
    return plan.values.at(static_cast<size_t>(op.inputs[index]));
  }
  const Value& Out() const { return plan.values.at(static_cast<size_t>(op.out)); }

  // The weight of that number among the loaded ones, which are kept by Weight::Key.
  template <class Loaded>
  Loaded FindWeight(const std::map<std::string, Loaded>& loaded, const char* key, int id) const {
    const auto found = loaded.find(plan.weights.at(static_cast<size_t>(id)).Key());
    Expect(found != loaded.end(), std::string(key) + " " + std::to_string(id) + " is not loaded");
    return found->second;
  }
};

// Whether a norm subtracts the mean.
inline bool ReadNormKind(const Op& op) {
  const std::string& kind = op.Text("norm");
  Expect(kind == "rms" || kind == "layer", "norm is neither 'rms' nor 'layer'");
  return kind == "layer";
}

inline Activation ReadActivation(const Op& op) {
  static const std::map<std::string, Activation> kNames = {
      {"silu", Activation::kSilu},         {"gelu", Activation::kGelu},
      {"geluTanh", Activation::kGeluTanh}, {"geluQuick", Activation::kGeluQuick},
      {"relu", Activation::kRelu},         {"reluSquared", Activation::kReluSquared},
      {"xielu", Activation::kXielu},       {"clampedSwiglu", Activation::kClampedSwiglu},
  };
  const std::string& name = op.Text("activation");
  const auto found = kNames.find(name);
  Expect(found != kNames.end(), "unknown activation '" + name + "'");
  return found->second;
}

}  // namespace octavo
