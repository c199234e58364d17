// The models that the figures are measured on, with random weights.
#pragma once

#include <string>
#include <vector>

#include "model/model_config.h"

namespace ajet::bench {

// "qwen3-0.6b", "qwen2.5-1.5b" as published; "small-qwen3", "small-qwen2" of the same families for a CPU's seconds.
// Throws invalid_argument with the list.
ModelConfig model_shape(const std::string& name);

}  // namespace ajet::bench
