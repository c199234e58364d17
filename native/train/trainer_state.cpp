// AdamW's moments, the step and the version as a safetensors file, and the frozen reference beside it.
#include <charconv>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "model/safetensors.h"
#include "model/weights_io.h"
#include "train/trainer_core.h"

namespace ajet {

namespace {

constexpr const char* state_file = "/trainer_state.safetensors";
constexpr const char* reference_file = "/reference.safetensors";
constexpr const char* format_name = "ajet-trainer-state";
constexpr const char* format_version = "1";

std::vector<int64_t> shape_of(const ParameterLayout& layout, const ParameterSlice& slice) {
  const Parameter& parameter = layout.parameters[static_cast<size_t>(slice.parameter)];
  return parameter.matrix ? std::vector<int64_t>{slice.rows, parameter.cols} : std::vector<int64_t>{slice.rows};
}

void add_moment(SafetensorsWriter& writer, const ParameterArena& arena, const char* suffix) {
  for (const ParameterSlice& slice : arena.layout().slices) {
    writer.add(slice.hf_name + suffix, shape_of(arena.layout(), slice),
               [&arena, &slice](int64_t first_row, int64_t rows, std::vector<float>& out) {
                 arena.read({slice.hf_name, slice.parameter, slice.first_row + first_row, rows}, out);
               });
  }
}

[[noreturn]] void fail_file(const SafetensorsFile& file, const std::string& problem) {
  fail(ErrorCode::corrupt_file, "[load_state] " + file.path() + ": " + problem);
}

// Calls use(slice, values) for each tensor of a moment, row-major.
template <typename Use>
void read_moment(const ParameterLayout& layout, const SafetensorsFile& file, const char* suffix, float lowest,
                 const Use& use) {
  std::vector<float> values;
  for (const ParameterSlice& slice : layout.slices) {
    const SafetensorsTensor& tensor = file.tensor(slice.hf_name + suffix);
    if (tensor.shape != shape_of(layout, slice) || tensor.dtype != "F32")
      fail_file(file, "tensor `" + tensor.name + "` has another shape or dtype than the model's");
    values.resize(static_cast<size_t>(tensor.elements));
    file.read(tensor, 0, tensor.elements, values.data());
    for (const float value : values) {
      if (!std::isfinite(value) || value < lowest)
        fail_file(file, "tensor `" + tensor.name + "` holds " + std::to_string(value) + ", which no moment can be");
    }
    use(slice, values);
  }
}

template <typename First, typename Second>
void read_moments(const ParameterLayout& layout, const SafetensorsFile& file, const First& first,
                  const Second& second) {
  read_moment(layout, file, ".m", std::numeric_limits<float>::lowest(), first);
  read_moment(layout, file, ".v", 0.0F, second);
}

std::string metadata_of(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) fail_file(file, "its metadata has no `" + key + "`; is it a trainer's state?");
  return found->second;
}

template <typename Integer>
Integer integer_of(const SafetensorsFile& file, const std::string& key) {
  const std::string text = metadata_of(file, key);
  Integer value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < Integer{0})
    fail_file(file, "its metadata `" + key + "` is \"" + text + "\", which is no count");
  return value;
}

}  // namespace

void Trainer::save_state(const std::string& directory) const {
  const TrainerCore& core = *state_;
  if (core.reference != nullptr) {
    SafetensorsWriter writer(directory + reference_file, SafetensorsDType::f32);
    add_parameters(writer, core.reference->weights());
    writer.finish();
  }
  SafetensorsWriter writer(directory + state_file, SafetensorsDType::f32,
                           {{"format", format_name},
                            {"format_version", format_version},
                            {"step", std::to_string(core.steps)},
                            {"weights_version", std::to_string(core.model->version())}});
  add_moment(writer, core.first_moment, ".m");
  add_moment(writer, core.second_moment, ".v");
  writer.finish();
}

void Trainer::load_state(const std::string& directory) {
  TrainerCore& core = *state_;
  const SafetensorsFile file = SafetensorsFile::open(directory + state_file);
  if (metadata_of(file, "format") != format_name)
    fail_file(file, "its format is `" + metadata_of(file, "format") + "`, not `" + format_name + "`");
  if (metadata_of(file, "format_version") != format_version)
    fail_file(file,
              "its format version is " + metadata_of(file, "format_version") + "; this build reads " + format_version);
  const auto steps = integer_of<int64_t>(file, "step");
  const auto version = integer_of<uint64_t>(file, "weights_version");
  const std::shared_ptr<Backend>& backend = core.model->backend();
  const auto layout = core.model->weights().shared_layout();
  if (file.tensors().size() != 2 * layout->slices.size())
    fail_file(file, "it has " + std::to_string(file.tensors().size()) + " tensors, but the model needs " +
                        std::to_string(2 * layout->slices.size()));

  // Everything is checked before anything changes, and read again then: held twice, moments would need more memory to
  // go on than to start.
  const auto ignore = [](const ParameterSlice&, const std::vector<float>&) {};
  read_moments(*layout, file, ignore, ignore);
  if (core.reference != nullptr) {
    std::vector<SafetensorsFile> files;
    files.push_back(SafetensorsFile::open(directory + reference_file));
    ParameterArena weights(backend, layout, ArenaUse::weights, core.reference->weights().matrix_place());
    read_parameters(weights, files);
    core.reference->weights().copy_from(weights);
    core.reference->weights_changed();
  }
  const auto into = [](ParameterArena& arena) {
    return
        [&arena](const ParameterSlice& slice, const std::vector<float>& values) { arena.write(slice, values.data()); };
  };
  read_moments(*layout, file, into(core.first_moment), into(core.second_moment));
  core.steps = steps;
  core.model->set_version(version);
}

}  // namespace ajet
