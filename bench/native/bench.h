// Times one op beside the limits of the machine and prints what it found, a JSON object a line.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "backend.h"
#include "cpu/memory.h"
#include "cpu/thread_pool.h"
#include "roofline.h"

namespace octavo::bench {

constexpr size_t kBeyondCaches = size_t{192} << 20;

class Bench {
 public:
  Bench(const std::string& isa, int threads, int rounds, bool turns)
      : isa_(isa),
        threads_(threads),
        rounds_(rounds),
        turns_(turns),
        pool_(threads),
        data_(kBeyondCaches, "bench") {
    roofline_ = isa == "avx512_bf16"    ? Avx512Bf16Roofline()
                : isa == "avx512"       ? Avx512Roofline()
                : isa == "avx_vnni"     ? AvxVnniRoofline()
                : isa == "avx2"         ? Avx2Roofline()
                : isa == "neon_i8mm"    ? NeonI8mmRoofline()
                : isa == "neon_dotprod" ? NeonDotprodRoofline()
                : isa == "neon"         ? NeonRoofline()
                                        : PortableRoofline();
    std::fill_n(Floats(), kBeyondCaches / sizeof(float), 1.0f);
  }

  using Limit = double (*Roofline::*)(long rounds);  // of products; null: of floats

  // Runs `op`, which does the same work `times` times, of so many operations and bytes each.
  // Medians of one time's seconds and of its shares of the machine's limits. The limits are taken
  // again beside each round, so that a share holds on a machine that others use too.
  void Time(const std::string& name, const std::string& detail, double flops, double bytes,
            const std::function<void()>& op, int times = 1, Limit limit = nullptr) {
    op();
    long calls = 1;
    while (Seconds(calls, op) < kSecondsPerSample) calls *= 2;
    if (turns_) Print(name, detail, {});
    std::vector<Found> rounds;
    for (int round = 0; round < rounds_; ++round) {
      if (turns_) AwaitTurn();
      const double peak = PeakFlops(limit);
      const double bandwidth = bytes > 0 ? Bandwidth() : 1;
      const double once = Seconds(calls, op) / static_cast<double>(calls * times);
      rounds.push_back(
          {once, flops / once, bytes / once, flops / once / peak, bytes / once / bandwidth});
      if (turns_) Print(name, detail, rounds.back());
    }
    turns_ ? AwaitTurn() : Print(name, detail, Medians(rounds));
  }

  // The machine's limits alone.
  void TimeLimits() {
    std::vector<Found> rounds;
    for (int round = 0; round < rounds_; ++round)
      rounds.push_back({0, PeakFlops(nullptr), Bandwidth(), 1, 1});
    Print("limits", "", Medians(rounds));
  }

  BackendOptions Options() const {
    BackendOptions options;
    options.isa = isa_;
    options.threads = threads_;
    return options;
  }

 private:
  static constexpr double kSecondsPerSample = 0.02;

  // Of one time: seconds, and operations and bytes a second with their shares of the limits.
  struct Found {
    double seconds = 0, flops = 0, bytes = 0, flops_share = 0, bytes_share = 0;
  };

  static Found Medians(const std::vector<Found>& rounds) {
    const auto median = [&](double Found::* number) {
      std::vector<double> numbers;
      for (const Found& found : rounds) numbers.push_back(found.*number);
      std::sort(numbers.begin(), numbers.end());
      return numbers[numbers.size() / 2];
    };
    return {median(&Found::seconds), median(&Found::flops), median(&Found::bytes),
            median(&Found::flops_share), median(&Found::bytes_share)};
  }

  static void Print(const std::string& name, const std::string& detail, const Found& found) {
    std::printf(
        "{\"op\":\"%s\",\"detail\":\"%s\",\"seconds\":%.9f,\"flops\":%.0f,\"bytes\":%.0f,"
        "\"flopsShare\":%.4f,\"bytesShare\":%.4f}\n",
        name.c_str(), detail.c_str(), found.seconds, found.flops, found.bytes, found.flops_share,
        found.bytes_share);
    std::fflush(stdout);
  }

  static void AwaitTurn() {
    for (int read = std::getchar(); read != '\n'; read = std::getchar())
      if (read == EOF) std::exit(1);
  }

  float* Floats() const { return reinterpret_cast<float*>(data_.data()); }

  // Of the clock or, with one thread, of what the processor gave to this thread.
  double Seconds(long calls, const std::function<void()>& op) const {
    const double start = Now();
    for (long call = 0; call < calls; ++call) op();
    return Now() - start;
  }

  double Now() const {
#if defined(CLOCK_THREAD_CPUTIME_ID)
    if (threads_ == 1) {
      timespec time;
      clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }
#endif
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
        .count();
  }

  // Of multiply-adds of floats where there is no such limit.
  double PeakFlops(Limit limit) {
    constexpr long kRounds = 1000000;
    const bool known = limit != nullptr && roofline_.*limit != nullptr;
    const auto multiply = known ? roofline_.*limit : roofline_.multiply_add;
    double flops = 0;
    const double seconds = Seconds(1, [&] {
      std::vector<double> done(static_cast<size_t>(threads_));
      pool_.ParallelFor(threads_, [&](int item, int) { done[item] = multiply(kRounds); });
      for (double count : done) flops += count;
    });
    return flops / seconds;
  }

  double Bandwidth() {
    constexpr int kParts = 64;
    const size_t part = kBeyondCaches / sizeof(float) / kParts;
    const double seconds = Seconds(1, [&] {
      pool_.ParallelFor(kParts,
                        [&](int item, int) { roofline_.read(Floats() + item * part, part); });
    });
    return kBeyondCaches / seconds;
  }

  std::string isa_;
  int threads_, rounds_;
  bool turns_;
  Roofline roofline_;
  cpu::ThreadPool pool_;
  cpu::Memory data_;
};

}  // namespace octavo::bench
