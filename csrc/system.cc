#include "system.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#if defined(_WIN32)
#include <windows.h>
#elif defined(__APPLE__)
#include <mach/mach.h>
#elif defined(__linux__)
#include <sched.h>
#include <unistd.h>
#endif

namespace octavo {
namespace {

constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();

#if defined(__linux__)

// The first number of a file such as memory.max; `fallback` if there is no file or it says "max".
uint64_t ReadNumber(const std::string& path, uint64_t fallback) {
  std::ifstream file(path);
  uint64_t value = 0;
  return file >> value ? value : fallback;
}

// The number behind `key` in a file of "key value" lines; 0 if there is none.
uint64_t ReadField(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string word;
    uint64_t value = 0;
    if (words >> word >> value && word == key) return value;
  }
  return 0;
}

bool HasWord(const std::string& list, const std::string& word) {
  std::istringstream stream(list);
  for (std::string part; std::getline(stream, part, ',');)
    if (part == word) return true;
  return false;
}

// Folders of this process's control group for a controller, from its own up to the root: limits
// hold at every level. In a container the path of /proc/self/cgroup may be the host's, and only
// the root is there; missing folders read as no limit. `controller` "" is version 2.
std::vector<std::string> GroupFolders(const std::string& controller) {
  std::ifstream file("/proc/self/cgroup");
  const std::string root = controller.empty() ? "/sys/fs/cgroup" : "/sys/fs/cgroup/" + controller;
  for (std::string line; std::getline(file, line);) {
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string names = line.substr(first + 1, second - first - 1);
    if (controller.empty() ? !names.empty() : !HasWord(names, controller)) continue;
    std::vector<std::string> folders;
    for (std::string path = line.substr(second + 1); path.size() > 1;
         path.erase(path.find_last_of('/')))
      folders.push_back(root + path);
    folders.push_back(root);
    return folders;
  }
  return {root};
}

double CpuQuota() {
  double quota = std::numeric_limits<double>::infinity();
  for (const std::string& folder : GroupFolders("")) {
    std::ifstream file(folder + "/cpu.max");  // "max 100000" or "150000 100000"
    double microseconds = 0, period = 0;
    if (file >> microseconds >> period && period > 0)
      quota = std::min(quota, microseconds / period);
  }
  for (const std::string& folder : GroupFolders("cpu")) {
    double microseconds = 0, period = 0;  // a quota of -1 is none
    if (std::ifstream(folder + "/cpu.cfs_quota_us") >> microseconds && microseconds > 0 &&
        std::ifstream(folder + "/cpu.cfs_period_us") >> period && period > 0)
      quota = std::min(quota, microseconds / period);
  }
  return quota;
}

int AffinityCpus() {
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {  // the kernel's mask may be larger than ours
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(cpus);
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return count;
  }
  return static_cast<int>(std::thread::hardware_concurrency());
}

// What is left under the limits of the groups. Cached file pages count as used there but are
// given back under pressure.
uint64_t GroupMemory() {
  uint64_t least = kUnlimited;
  const auto consider = [&least](uint64_t limit, uint64_t used, uint64_t cached) {
    if (limit == kUnlimited) return;
    const uint64_t kept = used - std::min(used, cached);
    least = std::min(least, limit - std::min(limit, kept));
  };
  for (const std::string& folder : GroupFolders("")) {
    const std::string stat = folder + "/memory.stat";
    consider(ReadNumber(folder + "/memory.max", kUnlimited),
             ReadNumber(folder + "/memory.current", 0),
             ReadField(stat, "inactive_file") + ReadField(stat, "active_file"));
  }
  for (const std::string& folder : GroupFolders("memory")) {
    const std::string stat = folder + "/memory.stat";
    consider(ReadNumber(folder + "/memory.limit_in_bytes", kUnlimited),
             ReadNumber(folder + "/memory.usage_in_bytes", 0),
             ReadField(stat, "total_inactive_file") + ReadField(stat, "total_active_file"));
  }
  return least;
}

uint64_t FreeMemory() {
  constexpr uint64_t kKibibyte = 1024;
  const uint64_t available = ReadField("/proc/meminfo", "MemAvailable:");
  if (available > 0) return available * kKibibyte;
  return static_cast<uint64_t>(sysconf(_SC_AVPHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

#else

double CpuQuota() { return std::numeric_limits<double>::infinity(); }

uint64_t GroupMemory() { return kUnlimited; }

#if defined(_WIN32)

int AffinityCpus() {
  DWORD_PTR process = 0, machine = 0;
  int count = 0;
  if (GetProcessAffinityMask(GetCurrentProcess(), &process, &machine))
    for (; process != 0; process &= process - 1) ++count;
  // The mask is empty for a process that spans several processor groups.
  return count > 0 ? count : static_cast<int>(std::thread::hardware_concurrency());
}

uint64_t FreeMemory() {
  MEMORYSTATUSEX status = {};
  status.dwLength = sizeof(status);
  return GlobalMemoryStatusEx(&status) ? std::min(status.ullAvailPhys, status.ullAvailPageFile) : 0;
}

#elif defined(__APPLE__)

int AffinityCpus() { return static_cast<int>(std::thread::hardware_concurrency()); }

uint64_t FreeMemory() {
  vm_statistics64_data_t statistics = {};
  mach_msg_type_number_t count = HOST_VM_INFO64_COUNT;
  vm_size_t page = 0;
  const mach_port_t host = mach_host_self();
  if (host_page_size(host, &page) != KERN_SUCCESS ||
      host_statistics64(host, HOST_VM_INFO64, reinterpret_cast<host_info64_t>(&statistics),
                        &count) != KERN_SUCCESS)
    return 0;
  return (uint64_t{statistics.free_count} + statistics.inactive_count +
          statistics.purgeable_count) *
         page;
}

#else

int AffinityCpus() { return static_cast<int>(std::thread::hardware_concurrency()); }

uint64_t FreeMemory() { return kUnlimited; }

#endif
#endif

}  // namespace

int AvailableCpus() {
  const double quota = std::min(CpuQuota(), static_cast<double>(std::numeric_limits<int>::max()));
  return std::max(1, std::min(AffinityCpus(), static_cast<int>(quota)));
}

uint64_t AvailableMemory() { return std::min(FreeMemory(), GroupMemory()); }

}  // namespace octavo
