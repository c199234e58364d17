// Page-locked host memory that the card reads and writes under the host's own addresses (unified addressing).
#pragma once

#include <cstddef>
#include <map>

namespace ajet::cuda {

class HostMemory {
 public:
  explicit HostMemory(int device) : device_(device) {}
  ~HostMemory();
  HostMemory(const HostMemory&) = delete;
  HostMemory& operator=(const HostMemory&) = delete;

  // Zeros. Throws out_of_memory with the size asked for.
  void* allocate(size_t bytes);
  // The card must be done with it.
  void free(void* data) noexcept;
  // Whether an address lies in an allocation of this.
  bool contains(const void* data) const;
  size_t bytes() const { return bytes_; }

 private:
  int device_;
  std::map<const char*, size_t> blocks_;  // by address
  size_t bytes_ = 0;
};

}  // namespace ajet::cuda
