#include "mapped_file.h"

#include <filesystem>
#include <limits>
#include <stdexcept>
#include <system_error>

#if defined(_WIN32)
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#endif

namespace octavo {
namespace {

[[noreturn]] void Fail(const std::string& path, int code) {
  throw std::runtime_error("cannot map '" + path + "': " + std::system_category().message(code));
}

uint64_t FileSize(const std::string& path) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(std::filesystem::u8path(path), error);
  if (error) throw std::runtime_error("cannot open '" + path + "': " + error.message());
  if (size > std::numeric_limits<size_t>::max())
    throw std::runtime_error("cannot map '" + path + "': it is too large for this process");
  return size;
}

}  // namespace

#if defined(_WIN32)

MappedFile::MappedFile(const std::string& path) : size_(FileSize(path)) {
  if (size_ == 0) return;  // an empty file cannot be mapped
  const std::wstring wide = std::filesystem::u8path(path).wstring();
  const HANDLE file = CreateFileW(wide.c_str(), GENERIC_READ, FILE_SHARE_READ, nullptr,
                                  OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, nullptr);
  if (file == INVALID_HANDLE_VALUE) Fail(path, static_cast<int>(GetLastError()));
  const HANDLE mapping = CreateFileMappingW(file, nullptr, PAGE_READONLY, 0, 0, nullptr);
  DWORD error = GetLastError();
  CloseHandle(file);
  if (mapping == nullptr) Fail(path, static_cast<int>(error));
  data_ = static_cast<const uint8_t*>(
      MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, static_cast<SIZE_T>(size_)));
  error = GetLastError();
  CloseHandle(mapping);
  if (data_ == nullptr) Fail(path, static_cast<int>(error));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) UnmapViewOfFile(data_);
}

void MappedFile::Forget(uint64_t, uint64_t) const {}

#else

MappedFile::MappedFile(const std::string& path) : size_(FileSize(path)) {
  if (size_ == 0) return;  // an empty file cannot be mapped
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) Fail(path, errno);
  void* data = mmap(nullptr, static_cast<size_t>(size_), PROT_READ, MAP_PRIVATE, file, 0);
  const int error = errno;
  close(file);
  if (data == MAP_FAILED) Fail(path, error);
  data_ = static_cast<const uint8_t*>(data);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<uint8_t*>(data_), static_cast<size_t>(size_));
}

void MappedFile::Forget(uint64_t offset, uint64_t length) const {
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  const uint64_t start = (offset + page - 1) / page * page;  // whole pages inside of the range
  const uint64_t end = (offset + length) / page * page;
  if (start < end)
    madvise(const_cast<uint8_t*>(data_) + start, static_cast<size_t>(end - start), MADV_DONTNEED);
}

#endif

}  // namespace octavo
