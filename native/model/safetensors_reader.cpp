#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/float_formats.h"
#include "model/safetensors.h"

namespace ajet {
namespace {

constexpr int64_t max_header_bytes = 100'000'000;  // as in the reference implementation

// Bytes of one element; 0 where the dtype is unknown.
int64_t element_bytes(const std::string& dtype) {
  static const std::map<std::string, int64_t> bytes{
      {"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"I64", 8},  {"I32", 4},     {"I16", 2},    {"I8", 1},
      {"U64", 8}, {"U32", 4}, {"U16", 2}, {"U8", 1},   {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}};
  const auto found = bytes.find(dtype);
  return found == bytes.end() ? 0 : found->second;
}

struct Extent {
  SafetensorsTensor tensor;
  int64_t begin = 0;
  int64_t end = 0;
};

// One member of the header. Returns the problem, empty where there is none.
std::string parse_tensor(const Json& json, int64_t data_bytes, Extent& out) {
  const Json *dtype = json.find("dtype"), *shape = json.find("shape"), *offsets = json.find("data_offsets");
  const auto* dtype_name = dtype == nullptr ? nullptr : dtype->get<std::string>();
  const auto* dimensions = shape == nullptr ? nullptr : shape->get<Json::Array>();
  const auto* range = offsets == nullptr ? nullptr : offsets->get<Json::Array>();
  if (dtype_name == nullptr || dimensions == nullptr || range == nullptr || range->size() != 2) {
    return "its header entry " + json.dump() + " lacks a valid dtype, shape or data_offsets";
  }
  out.tensor.dtype = *dtype_name;
  const int64_t bytes = element_bytes(*dtype_name);
  if (bytes == 0) return "its dtype " + dtype->dump() + " is unknown";
  int64_t size = bytes;
  for (const Json& dimension : *dimensions) {
    const auto* extent = dimension.get<int64_t>();
    if (extent == nullptr || *extent < 0 || __builtin_mul_overflow(size, *extent, &size)) {
      return "its shape " + shape->dump() + " is not valid";
    }
    out.tensor.shape.push_back(*extent);
  }
  out.tensor.elements = size / bytes;
  const auto *begin = (*range)[0].get<int64_t>(), *end = (*range)[1].get<int64_t>();
  if (begin == nullptr || end == nullptr || *begin < 0 || *end < *begin || *end > data_bytes) {
    return "its data_offsets " + offsets->dump() + " lie outside the " + std::to_string(data_bytes) +
           " bytes of data (is the file truncated?)";
  }
  if (*end - *begin != size) {
    return "its data_offsets " + offsets->dump() + " span " + std::to_string(*end - *begin) + " bytes, but shape " +
           shape->dump() + " of " + *dtype_name + " takes " + std::to_string(size);
  }
  out.begin = *begin;
  out.end = *end;
  return "";
}

}  // namespace

SafetensorsFile::~SafetensorsFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      tensors_(std::move(other.tensors_)),
      metadata_(std::move(other.metadata_)) {}

void SafetensorsFile::corrupt(const std::string& problem) const {
  fail(ErrorCode::corrupt_file, "[safetensors] " + path_ + ": " + problem);
}

SafetensorsFile SafetensorsFile::open(const std::string& path) {
  SafetensorsFile file(path);
  file.descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file.descriptor_ < 0) {
    fail(ErrorCode::io, "[safetensors] Expected a readable file at " + path + ": " + system_error_text(errno));
  }
  struct stat status {};
  if (::fstat(file.descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    fail(ErrorCode::io, "[safetensors] Expected a regular file at " + path);
  }
  const auto file_bytes = static_cast<int64_t>(status.st_size);
  if (file_bytes < 8) file.corrupt("it has " + std::to_string(file_bytes) + " bytes, too few for a header");
  uint64_t header_bytes = 0;
  file.read_bytes(&header_bytes, 8, 0, "the header length");
  if constexpr (std::endian::native == std::endian::big) header_bytes = __builtin_bswap64(header_bytes);
  if (header_bytes > static_cast<uint64_t>(std::min(max_header_bytes, file_bytes - 8))) {
    file.corrupt("its header length " + std::to_string(header_bytes) + " reaches beyond the file of " +
                 std::to_string(file_bytes) + " bytes (truncated, or not a safetensors file)");
  }
  std::string header(header_bytes, '\0');
  file.read_bytes(header.data(), static_cast<int64_t>(header_bytes), 8, "the header");
  const int64_t data_start = 8 + static_cast<int64_t>(header_bytes);
  file.parse_header(header, data_start, file_bytes - data_start);
  return file;
}

void SafetensorsFile::parse_header(const std::string& header, int64_t data_start, int64_t data_bytes) {
  Json json;
  try {
    json = Json::parse(header);
  } catch (const Error& error) {
    corrupt(std::string("its header is not valid: ") + error.what());
  }
  const auto* members = json.get<Json::Object>();
  if (members == nullptr) corrupt("its header is not a JSON object");
  std::vector<Extent> extents;
  for (const auto& [name, value] : *members) {
    if (name == "__metadata__") {
      const auto* entries = value.get<Json::Object>();
      if (entries == nullptr) corrupt("its __metadata__ is not an object");
      for (const auto& [key, text] : *entries) {
        if (text.get<std::string>() == nullptr) corrupt("its __metadata__ `" + key + "` is not a string");
        metadata_[key] = *text.get<std::string>();
      }
      continue;
    }
    Extent extent;
    const std::string problem = parse_tensor(value, data_bytes, extent);
    if (!problem.empty()) corrupt("tensor `" + name + "`: " + problem);
    extent.tensor.name = name;
    extent.tensor.offset = data_start + extent.begin;
    extents.push_back(std::move(extent));
  }

  // The format allows neither overlaps nor holes.
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  int64_t covered = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != covered) {
      corrupt("tensor `" + extent.tensor.name + "` begins at data byte " + std::to_string(extent.begin) + ", but " +
              (extent.begin < covered ? "overlaps the tensor that ends at " : "the tensor before it ends at ") +
              std::to_string(covered));
    }
    covered = extent.end;
  }
  if (covered != data_bytes) {
    corrupt("its tensors end at data byte " + std::to_string(covered) + ", but it has " + std::to_string(data_bytes));
  }
  for (Extent& extent : extents) tensors_.push_back(std::move(extent.tensor));
  std::sort(tensors_.begin(), tensors_.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
}

const SafetensorsTensor* SafetensorsFile::find(const std::string& name) const {
  const auto found =
      std::lower_bound(tensors_.begin(), tensors_.end(), name,
                       [](const SafetensorsTensor& tensor, const std::string& key) { return tensor.name < key; });
  return found == tensors_.end() || found->name != name ? nullptr : &*found;
}

const SafetensorsTensor& SafetensorsFile::tensor(const std::string& name) const {
  const SafetensorsTensor* found = find(name);
  if (found == nullptr) corrupt("tensor `" + name + "` is missing");
  return *found;
}

void SafetensorsFile::read_bytes(void* out, int64_t bytes, int64_t offset, const std::string& what) const {
  char* next = static_cast<char*>(out);
  while (bytes > 0) {
    const ssize_t got = ::pread(descriptor_, next, static_cast<size_t>(bytes), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      fail(ErrorCode::io, "[safetensors] Failed to read " + what + " of " + path_ + ": " + system_error_text(errno));
    }
    if (got == 0) corrupt(what + " ends early (the file was truncated while it was read)");
    next += got;
    offset += got;
    bytes -= got;
  }
}

void SafetensorsFile::read(const SafetensorsTensor& tensor, int64_t first, int64_t count, float* out) const {
  const bool f32 = tensor.dtype == "F32", bf16 = tensor.dtype == "BF16", f16 = tensor.dtype == "F16";
  if (!f32 && !bf16 && !f16) {
    corrupt("tensor `" + tensor.name + "` has dtype " + tensor.dtype + ", but F32, BF16 or F16 is expected");
  }
  if (first < 0 || count < 0 || first + count > tensor.elements) {
    fail(ErrorCode::invalid_argument, "[safetensors] Expected a range within the " + std::to_string(tensor.elements) +
                                          " elements of `" + tensor.name + "` but received [" + std::to_string(first) +
                                          ", " + std::to_string(first + count) + ")");
  }
  const std::string what = "tensor `" + tensor.name + "`";
  if (f32) {
    read_bytes(out, count * 4, tensor.offset + first * 4, what);
    return;
  }
  std::vector<uint16_t> halves(static_cast<size_t>(count));
  read_bytes(halves.data(), count * 2, tensor.offset + first * 2, what);
  std::transform(halves.begin(), halves.end(), out, bf16 ? bf16_to_f32 : f16_to_f32);
}

}  // namespace ajet
