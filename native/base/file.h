// Whole files: read at once, or written so that a reader sees the old one or the new one, never a part.
#pragma once

#include <cstddef>
#include <string>

namespace ajet {

// Throws io with the path and the system's reason.
std::string read_text_file(const std::string& path);
bool file_exists(const std::string& path);

// "No such file or directory" for ENOENT.
std::string system_error_text(int error_number);

// Writes to a temporary name beside `path`; commit() syncs it, renames it into place and syncs the folder.
// Destroyed without commit, it leaves nothing behind.
class AtomicFile {
 public:
  explicit AtomicFile(std::string path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(const void* data, size_t bytes);
  void commit();

 private:
  [[noreturn]] void fail_io(const char* action, int error_number) const;
  std::string path_;
  std::string temporary_path_;
  int descriptor_ = -1;
};

}  // namespace ajet
