// A file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <cstdio>
#include <string>

namespace octavo {

// Is written under a name of its own beside `path`, and takes that name when it is published.
// Whoever reads the file of that name meanwhile, or publishes another one, is not disturbed.
// What processes left behind that were killed meanwhile is removed by the next one that writes a
// file of that folder with the same extension. Every failure throws std::runtime_error with what
// the system says, and leaves no file behind.
class NewFile {
 public:
  // `path` is UTF-8; its folder must exist.
  explicit NewFile(std::string path);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  void Write(const void* data, size_t bytes);
  // Zeros up to a multiple of `alignment`.
  void Pad(size_t alignment);
  // Waits until the bytes are on the disk.
  void Publish();

 private:
  void Close();

  std::string path_, temporary_;
  std::FILE* file_ = nullptr;  // null once it is closed
  size_t size_ = 0;
};

}  // namespace octavo
