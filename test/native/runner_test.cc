// Tests the lifetime rules of csrc/runner.h without Node, so that sanitizers can watch. Prints the
// first check that fails and ends with 1.
#include "runner.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace octavo {
namespace {

constexpr const char* kPlan =
    "octavo-plan 1 faulty vocab=32\n"
    "limits T=4 S=1 R=1 arena=64\n"
    "cache 0 kv full float32 layers=1 kvHeads=1 keyDim=1 valueDim=1\n"
    "weight 0 matrix float32 [32,1] table\n"
    "%0 [T,1] @0 = embed() weight=0 scale=1 \"embed\"\n";

const PoolShape kPool = {16, 32, 0};

// What an engine told, counted.
class Log {
 public:
  int results = 0, deaths = 0, stops = 0, loads = 0, answers = 0;
  std::string last_error;

  Runner::Events Events() {
    return {[this](PackedResult) { Note([this] { ++results; }); },
            [this](const std::string& message) {
              Note([&] {
                ++deaths;
                last_error = message;
              });
            },
            [this] { Note([this] { ++stops; }); }};
  }

  Runner::LoadJob Load(const std::string& plan = kPlan) {
    return {plan, [] { return std::make_unique<DummyTensors>(1); }, [](uint64_t, uint64_t) {},
            [this](const std::string& error, const Runner::Loaded&) {
              Note([&] {
                ++loads;
                last_error = error;
              });
            }};
  }

  Runner::Answer Answered() {
    return [this](const std::string& error) {
      Note([&] {
        ++answers;
        if (!error.empty()) last_error = error;
      });
    };
  }

  Runner::AdapterJob Adapter(const std::string& adapter) {
    return {0, adapter, [] { return std::make_unique<DummyTensors>(1); }, Answered()};
  }

  template <typename Condition>
  void Wait(const Condition& condition) {
    std::unique_lock<std::mutex> lock(mutex_);
    CHECK(wake_.wait_for(lock, std::chrono::seconds(20), condition));
  }

 private:
  template <typename Change>
  void Note(const Change& change) {
    const std::lock_guard<std::mutex> lock(mutex_);
    change();
    wake_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable wake_;
};

struct Engine {
  explicit Engine(const std::string& isa = "")
      : runner(MakeCpuBackend(OfKind(isa)), kPool, log.Events()) {}

  static BackendOptions OfKind(const std::string& isa) {
    BackendOptions options;
    options.isa = isa;
    return options;
  }

  Log log;
  Runner runner;

  void Load() {
    runner.Load(log.Load());
    log.Wait([this] { return log.loads == 1; });
    CHECK(log.last_error.empty());
  }

  // A step of one token that samples nothing.
  void Submit(int32_t token) {
    std::vector<int32_t> ints = {kStepFormatVersion, 1, 0, 1, 1, 0, 1, 1};
    ints.resize(kHeaderInts);
    ints.insert(ints.end(), {token, 0, 0, 1, 1, 1, -1, 0, 1, 1});
    runner.Submit(ints.data(), ints.size(), nullptr, 0);
  }

  std::string SubmitError() {
    try {
      Submit(1);
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  }
};

void TestStepsGiveResults() {
  Engine engine;
  engine.Load();
  for (int i = 0; i < 1000; ++i) engine.Submit(1);
  engine.log.Wait([&] { return engine.log.results == 1000; });
  engine.runner.Join();
  CHECK(engine.log.stops == 1 && engine.log.deaths == 0);
}

void TestFailedOpKillsTheEngineOnce() {  // R7
  Engine engine;
  engine.Load();
  engine.Submit(1);
  engine.Submit(15);
  engine.Submit(13);
  for (int i = 0; i < 3; ++i) engine.Submit(1);
  engine.runner.Copy({{0, 0, 1, 0, 2}}, engine.log.Answered());
  engine.runner.LoadAdapter(engine.log.Adapter("octavo-adapter 1\n"));
  engine.log.Wait([&] { return engine.log.deaths == 1; });
  CHECK(engine.log.results == 2 && engine.log.answers == 2);  // R2
  CHECK(engine.log.last_error == "embed \"embed\": the device is lost");
  CHECK(engine.SubmitError() == "the engine is dead: embed \"embed\": the device is lost");
  engine.runner.Join();
  CHECK(engine.log.deaths == 1 && engine.log.results == 2 && engine.log.stops == 1);
}

void TestForeignExceptionKillsTheEngineToo() {
  Engine engine;
  engine.Load();
  engine.Submit(14);
  engine.log.Wait([&] { return engine.log.deaths == 1; });
  CHECK(engine.log.last_error == "unknown failure");
}

void TestFailedCopyIsAnsweredAndKills() {
  Engine engine;
  engine.Load();
  engine.runner.Copy({{0, 0, 13, 0, 2}}, engine.log.Answered());
  engine.log.Wait([&] { return engine.log.deaths == 1; });
  CHECK(engine.log.answers == 1);
  CHECK(engine.SubmitError() == "the engine is dead: the copy engine is lost");
}

void TestFailedAdapterIsAnsweredBetweenSteps() {
  Engine engine;
  engine.Load();
  engine.Submit(15);
  engine.runner.LoadAdapter(engine.log.Adapter("nonsense"));
  engine.log.Wait([&] { return engine.log.answers == 1; });
  CHECK(engine.log.results == 1);
  CHECK(engine.log.last_error == "adapter line 1: expected 'octavo-adapter', found 'nonsense'");
  engine.Submit(1);
  engine.log.Wait([&] { return engine.log.results == 2; });
  CHECK(engine.log.deaths == 0);
}

void TestFailedLoadLeavesNothingToRun() {
  Engine engine;
  engine.runner.Load(engine.log.Load("nonsense"));
  engine.log.Wait([&] { return engine.log.loads == 1; });
  CHECK(engine.log.last_error == "plan line 1: expected 'octavo-plan', found 'nonsense'");
  CHECK(engine.SubmitError() == "the engine failed to load: " + engine.log.last_error);
  CHECK(engine.log.deaths == 0);
}

void TestStopCutsALoadFromAFileShort() {
  Engine engine;
  std::atomic<bool> begun{false};
  Runner::LoadJob job = engine.log.Load();
  job.file = {"weights.packed", "source"};
  job.progress = [&](uint64_t, uint64_t) { begun = true; };
  engine.runner.Load(std::move(job));
  while (!begun) std::this_thread::yield();
  engine.runner.Stop();
  engine.log.Wait([&] { return engine.log.stops == 1; });
  CHECK(engine.log.loads == 1);
  CHECK(engine.log.last_error == "the engine was disposed");
}

void TestStopEndsTheStepAndDropsTheRest() {  // R2, R5, R6
  Engine engine;
  engine.Load();
  for (int i = 0; i < 5; ++i) engine.Submit(15);
  engine.runner.Copy({{0, 0, 1, 0, 2}}, engine.log.Answered());
  engine.runner.LoadAdapter(engine.log.Adapter("octavo-adapter 1\n"));
  engine.log.Wait([&] { return engine.log.results == 1; });
  engine.runner.Stop();
  engine.log.Wait([&] { return engine.log.stops == 1; });
  CHECK(engine.log.results <= 3 && engine.log.answers == 2);
  CHECK(engine.log.last_error == "the engine was disposed");
  CHECK(engine.SubmitError() == "the engine was disposed");
  engine.runner.Join();
  CHECK(engine.log.stops == 1);
}

void TestTheNextStepIsSubmittedAhead() {
  Engine engine("ahead");
  engine.Load();
  engine.Submit(1);
  engine.Submit(1);  // only now is the first done
  engine.log.Wait([&] { return engine.log.results == 1; });
  engine.runner.Stop();
  engine.log.Wait([&] { return engine.log.stops == 1; });
  CHECK(engine.log.results == 2);  // R6
}

void TestFailedResultKillsTheEngineOnce() {  // R7
  Engine engine("ahead");
  engine.Load();
  for (const int32_t token : {1, 16, 1, 1}) engine.Submit(token);
  engine.log.Wait([&] { return engine.log.deaths == 1; });
  engine.runner.Join();
  CHECK(engine.log.last_error == "the result is lost");
  CHECK(engine.log.deaths == 1 && engine.log.results == 1);
}

void TestJoinAtEveryMoment() {
  for (int delay = 0; delay < 100; ++delay) {
    Engine engine;
    engine.runner.Load(engine.log.Load());
    engine.log.Wait([&] { return engine.log.loads == 1; });
    for (int i = 0; i < 20; ++i) engine.Submit(1);
    std::this_thread::sleep_for(std::chrono::microseconds(delay));
  }
  Engine never_loaded;
  Engine loading;
  loading.runner.Load(loading.log.Load());
}

}  // namespace
}  // namespace octavo

int main() {
  octavo::TestStepsGiveResults();
  octavo::TestFailedOpKillsTheEngineOnce();
  octavo::TestForeignExceptionKillsTheEngineToo();
  octavo::TestFailedCopyIsAnsweredAndKills();
  octavo::TestFailedAdapterIsAnsweredBetweenSteps();
  octavo::TestFailedLoadLeavesNothingToRun();
  octavo::TestStopCutsALoadFromAFileShort();
  octavo::TestStopEndsTheStepAndDropsTheRest();
  octavo::TestTheNextStepIsSubmittedAhead();
  octavo::TestFailedResultKillsTheEngineOnce();
  octavo::TestJoinAtEveryMoment();
  std::printf("the engine thread keeps its rules\n");
  return 0;
}
