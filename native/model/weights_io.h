// Parameter arenas to and from safetensors files, one Hugging Face tensor a slice.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "model/parameters.h"
#include "model/safetensors.h"

namespace ajet {

// Adds every tensor of the arena as prefix + its Hugging Face name. The arena must outlive finish().
void add_parameters(SafetensorsWriter& writer, const ParameterArena& arena, const std::string& prefix = "");

// Fills the arena from the files' tensors whose names begin with the prefix. Throws corrupt_file where one is missing,
// has another shape or dtype, lies in two files, or is not one of the model's.
void read_parameters(ParameterArena& arena, std::span<const SafetensorsFile> files, const std::string& prefix = "");

// The weight files of a Hugging Face folder: model.safetensors, or the shards of model.safetensors.index.json.
std::vector<SafetensorsFile> open_weight_files(const std::string& directory);

}  // namespace ajet
