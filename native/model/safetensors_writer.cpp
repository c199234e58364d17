#include <algorithm>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"
#include "model/float_formats.h"
#include "model/safetensors.h"

namespace ajet {
namespace {

constexpr int64_t chunk_elements = 1 << 20;  // bounds the memory beside the weights

int64_t product(const std::vector<int64_t>& shape, size_t first_dimension) {
  int64_t elements = 1;
  for (size_t d = first_dimension; d < shape.size(); ++d) elements *= shape[d];
  return elements;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::string path, SafetensorsDType dtype,
                                     std::map<std::string, std::string> metadata)
    : path_(std::move(path)), dtype_(dtype), metadata_(std::move(metadata)) {}

void SafetensorsWriter::add(const std::string& name, std::vector<int64_t> shape, RowSource source) {
  if (shape.empty()) fail(ErrorCode::invalid_argument, "[safetensors] Expected a shape for `" + name + "`");
  if (!entries_.emplace(name, Entry{std::move(shape), std::move(source)}).second) {
    fail(ErrorCode::invalid_argument, "[safetensors] Expected each tensor once but received `" + name + "` twice");
  }
}

std::string SafetensorsWriter::header() const {
  Json::Object members;
  Json::Object metadata;
  for (const auto& [key, value] : metadata_) metadata.emplace_back(key, value);
  if (!metadata.empty()) members.emplace_back("__metadata__", std::move(metadata));
  int64_t offset = 0;
  for (const auto& [name, entry] : entries_) {
    const int64_t end = offset + product(entry.shape, 0) * element_bytes();
    members.emplace_back(name, Json::Object{{"dtype", dtype_ == SafetensorsDType::f32 ? "F32" : "BF16"},
                                            {"shape", Json::Array(entry.shape.begin(), entry.shape.end())},
                                            {"data_offsets", Json::Array{offset, end}}});
    offset = end;
  }
  std::string text = Json(std::move(members)).dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

void SafetensorsWriter::finish() {
  AtomicFile file(path_);
  const std::string text = header();
  uint64_t length = text.size();
  if constexpr (std::endian::native == std::endian::big) length = __builtin_bswap64(length);
  file.write(&length, 8);
  file.write(text.data(), text.size());

  std::vector<float> values;
  std::vector<uint16_t> halves;
  for (const auto& [name, entry] : entries_) {
    const int64_t rows = entry.shape[0], row_elements = product(entry.shape, 1);
    const int64_t chunk_rows = std::max<int64_t>(1, chunk_elements / std::max<int64_t>(1, row_elements));
    for (int64_t row = 0; row < rows; row += chunk_rows) {
      const int64_t count = std::min(chunk_rows, rows - row);
      entry.source(row, count, values);
      if (values.size() != static_cast<size_t>(count * row_elements)) {
        fail(ErrorCode::internal, "[safetensors] `" + name + "` gave " + std::to_string(values.size()) +
                                      " values for " + std::to_string(count * row_elements));
      }
      if (dtype_ == SafetensorsDType::f32) {
        file.write(values.data(), values.size() * sizeof(float));
      } else {
        halves.resize(values.size());
        std::transform(values.begin(), values.end(), halves.begin(), f32_to_bf16);
        file.write(halves.data(), halves.size() * sizeof(uint16_t));
      }
    }
  }
  file.commit();
}

}  // namespace ajet
