#include "new_file.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <random>
#include <stdexcept>
#include <system_error>
#include <utility>

#if defined(_WIN32)
#include <io.h>
#else
#include <unistd.h>
#endif

namespace octavo {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void Fail(const std::error_code& error) {
  throw std::runtime_error("it cannot be written: " + error.message());
}

[[noreturn]] void FailToWrite() { Fail({errno, std::generic_category()}); }

void Remove(const std::string& path) {
  std::error_code ignored;
  fs::remove(fs::u8path(path), ignored);
}

// No other process or thread has the same.
std::string NameBeside(const std::string& path) {
  std::random_device random;
  return path + '.' + std::to_string(random()) + std::to_string(random()) + ".tmp";
}

// Null where it cannot be created, or is there already.
std::FILE* Create(const std::string& path) {
#if defined(_WIN32)
  return _wfopen(fs::u8path(path).wstring().c_str(), L"wbx");
#else
  return std::fopen(path.c_str(), "wbxe");
#endif
}

bool Sync(std::FILE* file) {
  if (std::fflush(file) != 0) return false;
#if defined(_WIN32)
  return _commit(_fileno(file)) == 0;
#else
  return fsync(fileno(file)) == 0;
#endif
}

}  // namespace

NewFile::NewFile(std::string path) : path_(std::move(path)), temporary_(NameBeside(path_)) {
  file_ = Create(temporary_);
  if (file_ == nullptr) FailToWrite();
}

NewFile::~NewFile() {
  if (file_ == nullptr) return;
  std::fclose(std::exchange(file_, nullptr));
  Remove(temporary_);
}

void NewFile::Write(const void* data, size_t bytes) {
  if (std::fwrite(data, 1, bytes, file_) != bytes) FailToWrite();
  size_ += bytes;
}

void NewFile::Pad(size_t alignment) {
  constexpr std::array<char, 4096> kZeros = {};
  size_t missing = (alignment - size_ % alignment) % alignment;
  while (missing > 0) {
    const size_t bytes = std::min(missing, kZeros.size());
    Write(kZeros.data(), bytes);
    missing -= bytes;
  }
}

void NewFile::Publish() {
  const bool synced = Sync(file_);
  const int failure = errno;
  std::fclose(std::exchange(file_, nullptr));  // an open file cannot be renamed everywhere
  std::error_code error(synced ? 0 : failure, std::generic_category());
  if (!error) fs::rename(fs::u8path(temporary_), fs::u8path(path_), error);
  if (!error) return;
  Remove(temporary_);
  Fail(error);
}

}  // namespace octavo
