// A file mapped into memory for reading.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace octavo {

class MappedFile {
 public:
  // `path` is UTF-8. Throws std::runtime_error naming the file and what the system says.
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  const uint8_t* data() const { return data_; }
  uint64_t size() const { return size_; }

  // Tells the system that the bytes are not needed again soon; they stay readable.
  void Forget(uint64_t offset, uint64_t length) const;

 private:
  const uint8_t* data_ = nullptr;
  uint64_t size_ = 0;
};

}  // namespace octavo
