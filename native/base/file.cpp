#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <system_error>

#include "base/error.h"

namespace ajet {

std::string system_error_text(int error_number) { return std::generic_category().message(error_number); }

std::string read_text_file(const std::string& path) {
  struct stat status {};
  const int failed = ::stat(path.c_str(), &status);
  std::ifstream file(path, std::ios::binary);
  if (failed != 0 || !file) {
    fail(ErrorCode::io, "[read] Expected a readable file at " + path + ": " + system_error_text(errno));
  }
  if (!S_ISREG(status.st_mode)) fail(ErrorCode::io, "[read] Expected a regular file at " + path);
  std::ostringstream text;
  text << file.rdbuf();
  if (file.bad()) fail(ErrorCode::io, "[read] Failed to read " + path + ": " + system_error_text(errno));
  return std::move(text).str();
}

bool file_exists(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0;
}

namespace {

// Two writers of one path, in this process or another, never share a temporary file.
std::string temporary_suffix() {
  static std::atomic<int> count{0};
  return std::string(".tmp-") + std::to_string(::getpid()) + "-" + std::to_string(count++);
}

}  // namespace

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), temporary_path_(path_ + temporary_suffix()) {
  descriptor_ = ::open(temporary_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor_ < 0) fail_io("create", errno);
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_path_.empty()) ::unlink(temporary_path_.c_str());
}

void AtomicFile::fail_io(const char* action, int error_number) const {
  fail(ErrorCode::io,
       std::string("[write] Failed to ") + action + " " + path_ + ": " + system_error_text(error_number));
}

void AtomicFile::write(const void* data, size_t bytes) {
  const char* next = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t written = ::write(descriptor_, next, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail_io("write", errno);
    next += written;
    bytes -= static_cast<size_t>(written);
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail_io("sync", errno);
  const int closed = ::close(descriptor_);
  descriptor_ = -1;
  if (closed != 0) fail_io("close", errno);
  if (::rename(temporary_path_.c_str(), path_.c_str()) != 0) fail_io("rename", errno);
  temporary_path_.clear();

  const size_t slash = path_.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : slash == 0 ? "/" : path_.substr(0, slash);
  const int folder_descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder_descriptor < 0) fail_io("sync the folder of", errno);
  const int synced = ::fsync(folder_descriptor);
  const int error_number = errno;
  ::close(folder_descriptor);
  // Some file systems cannot sync a folder.
  if (synced != 0 && error_number != EINVAL && error_number != ENOTSUP) {
    fail_io("sync the folder of", error_number);
  }
}

}  // namespace ajet
