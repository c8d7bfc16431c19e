// octavo-replay: the engine without Node. Runs a recording's steps on an engine thread as the addon
// does and compares what they give with what was recorded (docs/replay.md).
#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <exception>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

#include "backend.h"
#include "comparison.h"
#include "op_times.h"
#include "recording.h"
#include "runner.h"

namespace octavo {
namespace {

constexpr const char* kUsage =
    "octavo-replay [options] FOLDER…    Runs recordings and compares their results.\n"
    "  --device NAME    cpu or cuda (cpu)\n"
    "  --threads N      worker threads (all CPUs)\n"
    "  --graphs off     CUDA: submit each op of each step (on)\n"
    "  --isa NAME       avx512_bf16, avx512, avx_vnni, avx2, neon_i8mm, neon_dotprod, neon\n"
    "                   or portable (the best)\n"
    "  --times on       print what each kind of op took (off)\n"
    "  --repeat N       run the steps so many times (1)\n"
    "  --tolerance X    of log-probabilities; 0 compares bits (1e-4)\n"
    "  --near-ties yes  tokens may differ where each side's is among the other's likeliest (no)\n"
    "  --json yes       tells of each recording in a line of JSON (no)\n";

// Steps in flight: the engine schedules one while another runs.
constexpr size_t kDepth = 2;

struct Options {
  std::vector<std::string> folders;
  BackendOptions backend;
  bool times = false;
  int repeat = 1;
  Closeness closeness;
  bool json = false;
};

Options ParseOptions(const std::vector<std::string>& arguments) {
  Options options;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& name = arguments[i];
    if (name.compare(0, 2, "--") != 0) {
      options.folders.push_back(name);
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
      options.closeness.logprobs = std::stod(value);
    } else if (name == "--near-ties") {
      options.closeness.near_ties = value == "yes";
    } else if (name == "--json") {
      options.json = value == "yes";
    } else {
      throw std::invalid_argument("unknown option " + name);
    }
  }
  if (options.folders.empty()) throw std::invalid_argument("no recording is named");
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
    return [this](const std::string& error, const Runner::Loaded&) {
      Add([&] {
        failure_ = error;
        loaded_ = true;
      });
    };
  }

  Runner::Answer OnDone() {
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

// Submits the events in order, `kDepth` steps ahead of their results. Adds the steps' seconds.
void RunEvents(const Recording& recording, const Closeness& closeness, Runner* runner, Inbox* inbox,
               std::vector<double>* seconds) {
  std::deque<const RecordedStep*> in_flight;
  const auto finish = [&] {
    const PackedResult result = inbox->Next();
    Compare(result, in_flight.front()->expected, closeness);
    seconds->push_back(result.floats[0]);
    in_flight.pop_front();
  };
  for (const auto& event : recording.events) {
    if (const auto* copies = std::get_if<std::vector<BlockCopy>>(&event)) {
      runner->Copy(*copies, inbox->OnDone());
      continue;
    }
    if (const auto* adapter = std::get_if<RecordedAdapter>(&event)) {
      const std::string& text = recording.adapters[static_cast<size_t>(adapter->number)];
      runner->LoadAdapter(
          {adapter->slot, text, [&] { return recording.OpenTensors(); }, inbox->OnDone()});
      continue;
    }
    const auto& step = std::get<RecordedStep>(event);
    if (in_flight.size() == kDepth) finish();
    runner->Submit(step.ints.data(), step.ints.size(), step.floats.data(), step.floats.size());
    in_flight.push_back(&step);
  }
  while (!in_flight.empty()) finish();
}

// What a recording's run took.
struct Ran {
  std::string device;
  std::vector<double> seconds;  // of each step
  OpTimes times;                // where they were wanted
};

Ran ReplaySteps(const Recording& recording, const Options& options) {
  Inbox inbox;
  Ran ran;
  auto backend = MakeBackend(options.backend);
  if (options.times) backend = std::make_unique<TimedBackend>(std::move(backend), &ran.times);
  Runner runner(std::move(backend), recording.pool, inbox.Events());
  runner.Load({recording.plan, [&] { return recording.OpenTensors(); }, [](uint64_t, uint64_t) {},
               inbox.OnLoaded()});
  inbox.WaitForLoad();
  ran.device = runner.description();
  for (int i = 0; i < options.repeat; ++i)
    RunEvents(recording, options.closeness, &runner, &inbox, &ran.seconds);
  return ran;
}

// The steps of an op's test, which put values in and read values out between ops.
Ran ReplayProbes(const Recording& recording, const Options& options) {
  BackendOptions backend = options.backend;
  backend.graphs = false;
  backend.probed = true;
  const auto plan = std::make_shared<const Plan>(Plan::Parse(recording.plan));
  const std::atomic<bool> cancelled{false};
  Executor executor(MakeBackend(backend), recording.pool, SharedMasks(), cancelled);
  const auto tensors = recording.OpenTensors();
  executor.Load(plan, tensors.get(), [](uint64_t, uint64_t) {});
  for (size_t i = 0; i < recording.adapters.size(); ++i)
    executor.LoadAdapter(static_cast<int>(i), Adapter::Parse(recording.adapters[i]), tensors.get());
  Ran ran;
  ran.device = executor.Describe();
  for (const RecordedProbe& recorded : recording.probes) {
    const RecordedStep& arrays = recorded.step;
    Step step(arrays.ints.data(), arrays.ints.size(), arrays.floats.data(), arrays.floats.size());
    step.view.CheckFor(*plan, recording.pool, plan->max_samples);
    Probe probe;
    probe.given = recorded.given;
    for (const auto& wanted : recorded.wanted) probe.read[wanted.value];
    executor.Submit(&step, &probe);
    const auto [step_id, result] = executor.Finish();
    Compare(Pack(step_id, result), arrays.expected, options.closeness);
    CompareValues(recorded, probe);
    ran.seconds.push_back(result.seconds);
  }
  return ran;
}

// Slots for the recording's adapters, of a rank that holds them all.
void MakeRoom(const Recording& recording, BackendOptions* backend) {
  backend->adapter_slots = static_cast<int>(recording.adapters.size());
  for (const auto& event : recording.events)
    if (const auto* loaded = std::get_if<RecordedAdapter>(&event))
      backend->adapter_slots = std::max(backend->adapter_slots, loaded->slot + 1);
  for (const std::string& text : recording.adapters)
    backend->adapter_rank = std::max(backend->adapter_rank, Adapter::Parse(text).LargestRank());
}

Ran Replay(const std::string& folder, Options options) {
  const Recording recording = Recording::Read(folder);
  MakeRoom(recording, &options.backend);
  options.backend.block_size = recording.pool.block_size;
  options.backend.host_blocks = recording.pool.host_blocks;
  return recording.probes.empty() ? ReplaySteps(recording, options)
                                  : ReplayProbes(recording, options);
}

void Print(Ran ran, bool with_times) {
  double total = 0;
  for (const double each : ran.seconds) total += each;
  std::printf("%s: %zu steps as recorded, %.3f s in all", ran.device.c_str(), ran.seconds.size(),
              total);
  std::sort(ran.seconds.begin(), ran.seconds.end());
  if (!ran.seconds.empty())
    std::printf(", median %.3f ms", ran.seconds[ran.seconds.size() / 2] * 1e3);
  std::printf("\n");
  if (with_times) ran.times.Print(ran.seconds.size());
}

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return quoted + '"';
}

// Whether the recording's run was as recorded.
bool ReplayAndPrint(const std::string& folder, const Options& options) {
  std::string failure;
  try {
    const Ran ran = Replay(folder, options);
    if (!options.json) Print(ran, options.times);
  } catch (const std::exception& error) {
    failure = error.what();
    if (!options.json) std::fprintf(stderr, "%s\n", error.what());
  }
  const std::string name = std::filesystem::u8path(folder).filename().u8string();
  if (options.json)
    std::printf("{\"check\": %s, \"failure\": %s}\n", Quoted(name).c_str(),
                failure.empty() ? "null" : Quoted(failure).c_str());
  std::fflush(stdout);
  return failure.empty();
}

int ReplayAll(const Options& options) {
  int failures = 0;
  for (const std::string& folder : options.folders)
    failures += ReplayAndPrint(folder, options) ? 0 : 1;
  return failures == 0 ? 0 : 1;
}

}  // namespace
}  // namespace octavo

int main(int count, char** arguments) {
  try {
    return octavo::ReplayAll(octavo::ParseOptions({arguments + 1, arguments + count}));
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "%s\n%s", error.what(), octavo::kUsage);
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
