#include "model/weights_io.h"

#include <algorithm>
#include <numeric>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/json.h"

namespace ajet {
namespace {

constexpr int64_t chunk_elements = 1 << 20;  // bounds the memory beside the weights

std::vector<int64_t> shape_of(const ParameterLayout& layout, const ParameterSlice& slice) {
  const Parameter& parameter = layout.parameters[static_cast<size_t>(slice.parameter)];
  return parameter.matrix ? std::vector<int64_t>{slice.rows, parameter.cols} : std::vector<int64_t>{slice.rows};
}

std::string shape_text(const std::vector<int64_t>& shape) {
  return Json(Json::Array(shape.begin(), shape.end())).dump();
}

// Levenshtein distance.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({substituted, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

// Rotary tables that old checkpoints carry, and the copy of the embedding that some write beside tied weights.
bool is_redundant(const std::string& name, bool tied) {
  return name.ends_with(".rotary_emb.inv_freq") || (tied && name == "lm_head.weight");
}

void refuse_unknown(const ParameterLayout& layout, std::span<const SafetensorsFile> files, const std::string& prefix) {
  std::set<std::string> known;
  for (const ParameterSlice& slice : layout.slices) known.insert(prefix + slice.hf_name);
  const bool tied = layout.find("head") < 0;
  std::set<std::string> seen;
  for (const SafetensorsFile& file : files) {
    for (const SafetensorsTensor& tensor : file.tensors()) {
      const std::string& name = tensor.name;
      if (!name.starts_with(prefix)) continue;
      if (!seen.insert(name).second) {
        fail(ErrorCode::corrupt_file, "[load] " + file.path() + ": tensor `" + name + "` is in another shard too");
      }
      if (known.contains(name) || is_redundant(name, tied)) continue;
      const auto nearest = std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
        return edit_distance(a, name) < edit_distance(b, name);
      });
      fail(ErrorCode::corrupt_file, "[load] " + file.path() + ": tensor `" + name +
                                        "` is not one of this model's (config.json); the nearest is `" + *nearest +
                                        "`");
    }
  }
}

void read_slice(ParameterArena& arena, const ParameterSlice& slice, const SafetensorsFile& file,
                const SafetensorsTensor& tensor) {
  const std::vector<int64_t> shape = shape_of(arena.layout(), slice);
  if (tensor.shape != shape) {
    fail(ErrorCode::corrupt_file, "[load] " + file.path() + ": tensor `" + tensor.name + "` has shape " +
                                      shape_text(tensor.shape) + ", but config.json says " + shape_text(shape));
  }
  const int64_t row_elements = shape.size() == 2 ? shape[1] : 1;
  const int64_t chunk_rows = std::max<int64_t>(1, chunk_elements / row_elements);
  std::vector<float> values;
  for (int64_t row = 0; row < slice.rows; row += chunk_rows) {
    const int64_t rows = std::min(chunk_rows, slice.rows - row);
    values.resize(static_cast<size_t>(rows * row_elements));
    file.read(tensor, row * row_elements, rows * row_elements, values.data());
    arena.write({slice.hf_name, slice.parameter, slice.first_row + row, rows}, values.data());
  }
}

}  // namespace

void add_parameters(SafetensorsWriter& writer, const ParameterArena& arena, const std::string& prefix) {
  for (const ParameterSlice& slice : arena.layout().slices) {
    writer.add(prefix + slice.hf_name, shape_of(arena.layout(), slice),
               [&arena, &slice](int64_t first_row, int64_t rows, std::vector<float>& out) {
                 arena.read({slice.hf_name, slice.parameter, slice.first_row + first_row, rows}, out);
               });
  }
}

void read_parameters(ParameterArena& arena, std::span<const SafetensorsFile> files, const std::string& prefix) {
  refuse_unknown(arena.layout(), files, prefix);
  for (const ParameterSlice& slice : arena.layout().slices) {
    const std::string name = prefix + slice.hf_name;
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const SafetensorsFile& candidate) { return candidate.find(name) != nullptr; });
    if (file == files.end()) {
      const std::string hint = slice.hf_name == "lm_head.weight" ? " (is `tie_word_embeddings` meant to be true?)" : "";
      const std::string where = files.empty() ? "the checkpoint" : files.front().path();
      fail(ErrorCode::corrupt_file, "[load] " + where + (files.size() > 1 ? " and the other shards" : "") +
                                        ": tensor `" + name + "` is missing" + hint);
    }
    read_slice(arena, slice, *file, file->tensor(name));
  }
}

std::vector<SafetensorsFile> open_weight_files(const std::string& directory) {
  std::vector<SafetensorsFile> files;
  const std::string single = directory + "/model.safetensors";
  const std::string index_path = directory + "/model.safetensors.index.json";
  if (file_exists(single)) {
    files.push_back(SafetensorsFile::open(single));
    return files;
  }
  if (!file_exists(index_path)) {
    fail(ErrorCode::io, "[load] Expected model.safetensors or model.safetensors.index.json in " + directory +
                            " but found neither (PyTorch .bin and GGUF files are not read)");
  }
  Json index;
  try {
    index = Json::parse(read_text_file(index_path));
  } catch (const Error& error) {
    fail(error.code() == ErrorCode::io ? ErrorCode::io : ErrorCode::corrupt_file,
         "[load] " + index_path + ": " + error.what());
  }
  const Json* weight_map = index.find("weight_map");
  const auto* entries = weight_map == nullptr ? nullptr : weight_map->get<Json::Object>();
  if (entries == nullptr) fail(ErrorCode::corrupt_file, "[load] " + index_path + ": it has no object `weight_map`");
  std::map<std::string, std::vector<std::string>> tensors_by_shard;
  for (const auto& [tensor, value] : *entries) {
    const auto* shard = value.get<std::string>();
    if (shard == nullptr || shard->find('/') != std::string::npos) {
      fail(ErrorCode::corrupt_file,
           "[load] " + index_path + ": the place of `" + tensor + "` is not a file name beside it but " + value.dump());
    }
    tensors_by_shard[*shard].push_back(tensor);
  }
  for (const auto& [shard, tensors] : tensors_by_shard) {
    const std::string path = directory + "/" + shard;
    if (!file_exists(path)) {
      fail(ErrorCode::corrupt_file,
           "[load] " + index_path + ": shard " + shard + " is missing (it should hold `" + tensors.front() + "`)");
    }
    files.push_back(SafetensorsFile::open(path));
    for (const std::string& tensor : tensors) files.back().tensor(tensor);
  }
  return files;
}

}  // namespace ajet
