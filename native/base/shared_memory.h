// Memory that processes of one user share by the path of its file.
//
// The file has no name in any folder (memfd_create): others open it through its maker's /proc entry, the kernel frees
// it with the last process that has it, and a maker that is killed leaves nothing behind. The size of /dev/shm is no
// limit.
#pragma once

#include <cstddef>
#include <string>

namespace ajet {

enum class MapAccess { read_only, read_write };

class SharedMemory {
 public:
  // Zero-filled, its pages reserved. Throws io with the system's reason.
  static SharedMemory create(const char* label, size_t bytes);
  // What another process made. Throws io where the path is gone or cannot be opened.
  static SharedMemory open(const std::string& path);

  SharedMemory(SharedMemory&& other) noexcept;  // mappings stay where they are
  SharedMemory& operator=(SharedMemory&&) = delete;
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;
  ~SharedMemory();

  size_t bytes() const { return bytes_; }
  // "/proc/1234/fd/21": opens as long as its maker runs.
  const std::string& path() const { return path_; }
  // Maps [offset, offset + bytes), offset a multiple of `mapping_alignment`; as huge pages where the system gives them.
  // Unmapped with this object.
  void* map(size_t offset, size_t bytes, MapAccess access);

  static constexpr size_t mapping_alignment = size_t{2} << 20;

 private:
  struct Mapping {
    void* reserved = nullptr;
    size_t reserved_bytes = 0;
  };
  static constexpr int most_mappings = 2;

  SharedMemory(int descriptor, size_t bytes, std::string path)
      : descriptor_(descriptor), bytes_(bytes), path_(std::move(path)) {}

  int descriptor_;
  size_t bytes_;
  std::string path_;
  Mapping mappings_[most_mappings] = {};
  int mapped_ = 0;
};

}  // namespace ajet
