// octavo-replay: the engine without Node. Runs a recording's steps on an engine thread as the addon
// does and compares what they give with what was recorded (docs/replay.md).
#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <deque>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend.h"
#include "op_times.h"
#include "recording.h"
#include "runner.h"

namespace octavo {
namespace {

constexpr const char* kUsage =
    "octavo-replay [options] FOLDER    Runs a recording and compares its results.\n"
    "  --device NAME    cpu or cuda (cpu)\n"
    "  --threads N      worker threads (all CPUs)\n"
    "  --graphs off     CUDA: submit each op of each step (on)\n"
    "  --isa NAME       avx512, avx2, neon or portable (the best)\n"
    "  --times on       print what each kind of op took (off)\n"
    "  --repeat N       run the steps so many times (1)\n"
    "  --tolerance X    of log-probabilities; 0 compares bits (1e-4)\n";

// Steps in flight: the engine schedules one while another runs.
constexpr size_t kDepth = 2;

struct Options {
  std::string folder;
  BackendOptions backend;
  bool times = false;
  int repeat = 1;
  double tolerance = 1e-4;
};

Options ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name.compare(0, 2, "--") != 0 && options.folder.empty()) {
      options.folder = name;
      continue;
    }
    if (i + 1 == arguments.size()) throw std::invalid_argument(name + " needs a value");
    const std::string& value = arguments[++i];
    if (name == "--device") {
      options.backend.device = value;
    } else if (name == "--graphs") {
      options.backend.graphs = value != "off";
    } else if (name == "--times") {
      options.times = value != "off";
    } else if (name == "--threads") {
      options.backend.threads = std::stoi(value);
    } else if (name == "--isa") {
      options.backend.isa = value;
    } else if (name == "--repeat") {
      options.repeat = std::stoi(value);
    } else if (name == "--tolerance") {
      options.tolerance = std::stod(value);
    } else {
      throw std::invalid_argument("unknown option " + name);
    }
  }
  if (options.folder.empty()) throw std::invalid_argument("no recording is named");
  return options;
}

// What the engine thread told, for the thread that waits.
class Inbox {
 public:
  Runner::Events Events() {
    return {[this](PackedResult result) { Add([&] { results_.push_back(std::move(result)); }); },
            [this](const std::string& message) { Add([&] { failure_ = message; }); }, [] {}};
  }

  Runner::LoadAnswer OnLoaded() {
    return [this](const std::string& error, uint64_t) {
      Add([&] {
        failure_ = error;
        loaded_ = true;
      });
    };
  }

  Runner::CopyAnswer OnCopied() {
    return [this](const std::string& error) {
      if (!error.empty()) Add([&] { failure_ = error; });
    };
  }

  void WaitForLoad() {
    Wait([this] { return loaded_; });
  }

  PackedResult Next() {
    std::unique_lock<std::mutex> lock = Wait([this] { return !results_.empty(); });
    PackedResult result = std::move(results_.front());
    results_.pop_front();
    return result;
  }

 private:
  template <typename Change>
  void Add(const Change& change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change();
    wake_.notify_one();
  }

  template <typename Ready>
  std::unique_lock<std::mutex> Wait(const Ready& ready) {
    std::unique_lock<std::mutex> lock(mutex_);
    wake_.wait(lock, [&] { return ready() || !failure_.empty(); });
    if (!failure_.empty()) throw std::runtime_error(failure_);
    return lock;
  }

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<PackedResult> results_;  // under mutex_, as all below
  std::string failure_;
  bool loaded_ = false;
};

bool SameNumber(float found, float expected, double tolerance) {
  if (tolerance == 0) return std::memcmp(&found, &expected, sizeof found) == 0;
  if (std::isnan(expected) || std::isinf(expected))
    return std::isnan(expected) ? std::isnan(found) : found == expected;
  return std::fabs(double{found} - expected) <= tolerance;
}

// Throws where a result is not the recorded one. The first float is a time.
void Compare(const PackedResult& found, const PackedResult& expected, double tolerance) {
  const std::string step = "step " + std::to_string(expected.ints.at(1)) + ": ";
  if (found.ints.size() != expected.ints.size() || found.floats.size() != expected.floats.size())
    throw std::runtime_error(step + "the result has another size");
  for (size_t i = 0; i < found.ints.size(); ++i)
    if (found.ints[i] != expected.ints[i])
      throw std::runtime_error(step + "integer " + std::to_string(i) + " of the result is " +
                               std::to_string(found.ints[i]) + ", recorded was " +
                               std::to_string(expected.ints[i]));
  for (size_t i = 1; i < found.floats.size(); ++i)
    if (!SameNumber(found.floats[i], expected.floats[i], tolerance))
      throw std::runtime_error(step + "number " + std::to_string(i) + " of the result is " +
                               std::to_string(found.floats[i]) + ", recorded was " +
                               std::to_string(expected.floats[i]));
}

// Submits the events in order, `kDepth` steps ahead of their results. Adds the steps' seconds.
void RunEvents(const Recording& recording, double tolerance, Runner* runner, Inbox* inbox,
               std::vector<double>* seconds) {
  std::deque<const RecordedStep*> in_flight;
  const auto finish = [&] {
    const PackedResult result = inbox->Next();
    Compare(result, in_flight.front()->expected, tolerance);
    seconds->push_back(result.floats[0]);
    in_flight.pop_front();
  };
  for (const auto& event : recording.events) {
    if (const auto* copies = std::get_if<std::vector<BlockCopy>>(&event)) {
      runner->Copy(*copies, inbox->OnCopied());
      continue;
    }
    const auto& step = std::get<RecordedStep>(event);
    if (in_flight.size() == kDepth) finish();
    runner->Submit(step.ints.data(), step.ints.size(), step.floats.data(), step.floats.size());
    in_flight.push_back(&step);
  }
  while (!in_flight.empty()) finish();
}

void Replay(Options options) {
  const Recording recording = Recording::Read(options.folder);
  options.backend.block_size = recording.pool.block_size;
  options.backend.num_blocks = recording.pool.device_blocks;
  options.backend.host_blocks = recording.pool.host_blocks;
  Inbox inbox;
  OpTimes times;
  auto backend = MakeBackend(options.backend);
  if (options.times) backend = std::make_unique<TimedBackend>(std::move(backend), &times);
  Runner runner(std::move(backend), recording.pool, inbox.Events());
  runner.Load({recording.plan, [&] { return recording.OpenTensors(); }, [](uint64_t, uint64_t) {},
               inbox.OnLoaded()});
  inbox.WaitForLoad();
  std::vector<double> seconds;
  for (int i = 0; i < options.repeat; ++i)
    RunEvents(recording, options.tolerance, &runner, &inbox, &seconds);
  std::sort(seconds.begin(), seconds.end());
  double total = 0;
  for (const double each : seconds) total += each;
  std::printf("%s: %zu steps as recorded, %.3f s in all", runner.description().c_str(),
              seconds.size(), total);
  if (!seconds.empty()) std::printf(", median %.3f ms", seconds[seconds.size() / 2] * 1e3);
  std::printf("\n");
  if (options.times) times.Print(seconds.size());
}

}  // namespace
}  // namespace octavo

int main(int count, char** arguments) {
  try {
    octavo::Replay(octavo::ParseOptions({arguments + 1, arguments + count}));
    return 0;
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n%s", error.what(), octavo::kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
