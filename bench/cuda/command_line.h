// FIGURE... [--device auto|cpu|cuda|cuda:N] [--dtype float32|bfloat16] [--threads N] [--scale full|small] [--seconds S]
// [--models NAME,NAME] [--batch-tokens N] [--recompute none|layers] [--offload none|moments|moments_and_master]
// [--exchange FOLDER]; `all` is every figure of figure.cpp.
#pragma once

#include <string>
#include <vector>

#include "figure.h"

namespace ajet::bench {

struct Command {
  Options options;
  std::vector<Figure> figures;
};

// Throws invalid_argument with what was expected.
Command parse_command(const std::vector<std::string>& arguments);

}  // namespace ajet::bench
