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
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
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

bool IsNameBeside(const fs::path& name, const fs::path& path) {
  return name.extension() == ".tmp" && name.stem().stem().extension() == path.extension();
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

#if defined(_WIN32)

// A file that is open can be neither removed nor renamed.
constexpr bool kRenamesOpenFiles = false;

bool Claim(std::FILE*) { return true; }
void RemoveIfLeft(const std::string& path) { Remove(path); }

#else

constexpr bool kRenamesOpenFiles = true;

// Locks a file while it is written; the lock ends with its process, however that ends. False where
// somebody else was faster, took the file for one that was left behind, and removed it.
bool Claim(std::FILE* file) {
  flock(fileno(file), LOCK_EX);
  struct stat state;
  return fstat(fileno(file), &state) != 0 || state.st_nlink > 0;
}

void RemoveIfLeft(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  if (flock(file, LOCK_EX | LOCK_NB) == 0) Remove(path);
  close(file);
}

#endif

// Removes what killed processes left in the folder of `path` when they wrote files of its kind.
void RemoveLeftFiles(const fs::path& path) {
  std::error_code error;
  for (fs::directory_iterator at(path.parent_path(), error), end; !error && at != end;
       at.increment(error)) {
    if (IsNameBeside(at->path().filename(), path)) RemoveIfLeft(at->path().u8string());
  }
}

}  // namespace

NewFile::NewFile(std::string path) : path_(std::move(path)) {
  do {
    Close();
    temporary_ = NameBeside(path_);
    file_ = Create(temporary_);
    if (file_ == nullptr) FailToWrite();
  } while (!Claim(file_));
  RemoveLeftFiles(fs::u8path(path_));
}

NewFile::~NewFile() {
  if (file_ == nullptr) return;
  Close();
  Remove(temporary_);
}

void NewFile::Close() {
  if (file_ != nullptr) std::fclose(std::exchange(file_, nullptr));
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
  std::error_code error;
  if (!Sync(file_)) error = {errno, std::generic_category()};
  if (!kRenamesOpenFiles) Close();
  if (!error) fs::rename(fs::u8path(temporary_), fs::u8path(path_), error);
  if (error) Remove(temporary_);
  Close();  // only now, where that is possible: its lock keeps others away
  if (error) Fail(error);
}

}  // namespace octavo
