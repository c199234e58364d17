// The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length, a JSON header, then the
// tensors back to back. Read with positioned reads, so that a failing disk is an error and not a signal.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace ajet {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // "F32", "BF16", "F16", ... as in the header
  std::vector<int64_t> shape;
  int64_t elements = 0;
  int64_t offset = 0;  // bytes from the start of the file
};

// An open file. Everything wrong with it throws corrupt_file (a failing read: io) naming file, tensor and problem.
class SafetensorsFile {
 public:
  static SafetensorsFile open(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&& other) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) = delete;

  const std::string& path() const { return path_; }
  const std::vector<SafetensorsTensor>& tensors() const { return tensors_; }  // by name
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const SafetensorsTensor* find(const std::string& name) const;  // null where there is none
  const SafetensorsTensor& tensor(const std::string& name) const;

  // Elements [first, first + count) as floats. The tensor's dtype must be F32, BF16 or F16.
  void read(const SafetensorsTensor& tensor, int64_t first, int64_t count, float* out) const;

 private:
  explicit SafetensorsFile(std::string path) : path_(std::move(path)) {}
  void parse_header(const std::string& header, int64_t data_start, int64_t data_bytes);
  void read_bytes(void* out, int64_t bytes, int64_t offset, const std::string& what) const;
  [[noreturn]] void corrupt(const std::string& problem) const;

  std::string path_;
  int descriptor_ = -1;
  std::vector<SafetensorsTensor> tensors_;
  std::map<std::string, std::string> metadata_;
};

enum class SafetensorsDType { f32, bf16 };

// Collects tensors, then writes them in name order: beside `path` first, synced, and renamed into place.
class SafetensorsWriter {
 public:
  // Fills `out` with the rows [first_row, first_row + rows) along the first dimension.
  using RowSource = std::function<void(int64_t first_row, int64_t rows, std::vector<float>& out)>;

  SafetensorsWriter(std::string path, SafetensorsDType dtype,
                    std::map<std::string, std::string> metadata = {{"format", "pt"}});
  void add(const std::string& name, std::vector<int64_t> shape, RowSource source);
  void finish();

 private:
  struct Entry {
    std::vector<int64_t> shape;
    RowSource source;
  };
  std::string header() const;
  int64_t element_bytes() const { return dtype_ == SafetensorsDType::f32 ? 4 : 2; }

  std::string path_;
  SafetensorsDType dtype_;
  std::map<std::string, std::string> metadata_;
  std::map<std::string, Entry> entries_;
};

}  // namespace ajet
