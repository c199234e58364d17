#include "base/shared_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/error.h"
#include "base/file.h"

// Linux 6.1; older C libraries do not name it.
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

// Linux 6.3.
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

namespace ajet {
namespace {

// Some systems demand that such a file is never executable; older ones do not know the flag.
int make_file(const char* label) {
  const int descriptor = memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
  return descriptor >= 0 || errno != EINVAL ? descriptor : memfd_create(label, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

[[noreturn]] void fail_io(const std::string& what, int error_number) {
  fail(ErrorCode::io, "[shared memory] Cannot " + what + ": " + system_error_text(error_number));
}

}  // namespace

SharedMemory SharedMemory::create(const char* label, size_t bytes) {
  const int descriptor = make_file(label);
  if (descriptor < 0) fail_io("make shared memory", errno);
  SharedMemory made(descriptor, bytes, "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(descriptor));
  // Reserved now: a page that is missing later would be a signal, not an error.
  int error = EINTR;
  while (error == EINTR) error = posix_fallocate(descriptor, 0, static_cast<off_t>(bytes));
  if (error != 0) fail_io("reserve " + std::to_string(bytes) + " bytes of shared memory", error);
  // Nobody can cut it short under those who have it mapped.
  if (fcntl(descriptor, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    fail_io("seal shared memory", errno);
  return made;
}

SharedMemory SharedMemory::open(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) fail_io("open " + path, errno);
  SharedMemory opened(descriptor, 0, path);
  struct stat status {};
  if (fstat(descriptor, &status) != 0) fail_io("look at " + path, errno);
  if (!S_ISREG(status.st_mode)) fail_io("map " + path, EINVAL);
  opened.bytes_ = static_cast<size_t>(status.st_size);
  return opened;
}

SharedMemory::SharedMemory(SharedMemory&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_),
      path_(std::move(other.path_)),
      mapped_(std::exchange(other.mapped_, 0)) {
  std::copy(std::begin(other.mappings_), std::end(other.mappings_), std::begin(mappings_));
}

SharedMemory::~SharedMemory() {
  for (int i = 0; i < mapped_; ++i) munmap(mappings_[i].reserved, mappings_[i].reserved_bytes);
  if (descriptor_ >= 0) close(descriptor_);
}

void* SharedMemory::map(size_t offset, size_t bytes, MapAccess access) {
  if (mapped_ == most_mappings || offset % mapping_alignment != 0 || offset > bytes_ || bytes > bytes_ - offset) {
    fail(ErrorCode::internal, "[shared memory] Expected a part of the " + std::to_string(bytes_) + " bytes");
  }
  // Huge pages need an address that is aligned as the offset is: more is reserved than needed.
  const size_t reserved_bytes = bytes + mapping_alignment;
  void* reserved = mmap(nullptr, reserved_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) fail_io("map shared memory", errno);
  mappings_[mapped_++] = {reserved, reserved_bytes};
  const size_t begin = reinterpret_cast<size_t>(reserved);
  void* aligned = reinterpret_cast<void*>((begin + mapping_alignment - 1) / mapping_alignment * mapping_alignment);
  const int protection = access == MapAccess::read_only ? PROT_READ : PROT_READ | PROT_WRITE;
  if (mmap(aligned, bytes, protection, MAP_SHARED | MAP_FIXED, descriptor_, static_cast<off_t>(offset)) == MAP_FAILED)
    fail_io("map shared memory", errno);
  // Shared memory is seldom given huge pages by itself. Without them it is as right, and little slower.
  if (bytes >= mapping_alignment) madvise(aligned, bytes / mapping_alignment * mapping_alignment, MADV_COLLAPSE);
  return aligned;
}

}  // namespace ajet
