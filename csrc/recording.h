// A recording: a plan, its weights, and the steps that ran with what they gave (docs/replay.md).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "made_numbers.h"
#include "step.h"
#include "weights.h"

namespace octavo {

struct RecordedStep {
  std::vector<int32_t> ints;
  std::vector<float> floats;
  PackedResult expected;
};

// A step of an op's test: rows that values get in place of what their ops compute, and rows that
// are wanted, each number within its tolerance.
struct RecordedProbe {
  struct Wanted {
    int value = 0;  // id
    std::vector<float> numbers, tolerances;
  };
  RecordedStep step;
  std::map<int, std::vector<float>> given;  // by value id
  std::vector<Wanted> wanted;
};

// A tensor of numbers that are made anew.
struct MadeTensor {
  std::vector<int64_t> shape;
  MadeNumbers numbers;
};

// One of the recording's adapters goes into a slot.
struct RecordedAdapter {
  int slot = 0, number = 0;
};

struct Recording {
  std::string plan;  // text form
  PoolShape pool;
  bool dummy = false;  // weights of `seed`, else `tensors` and `made`
  int64_t seed = 0;
  std::vector<FileTensor> tensors;
  std::map<std::string, MadeTensor> made;  // by name
  std::vector<std::string> adapters;       // text forms; probes find each in the slot of its number
  std::vector<std::variant<RecordedStep, std::vector<BlockCopy>, RecordedAdapter>> events;
  std::vector<RecordedProbe> probes;  // where there are any, there are no events

  // Throws std::runtime_error naming the file and what is wrong.
  static Recording Read(const std::string& folder);

  std::unique_ptr<TensorSource> OpenTensors() const;
};

}  // namespace octavo
