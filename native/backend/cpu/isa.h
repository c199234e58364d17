// Choice of the instruction set at run time.
#pragma once

#include <string>

#include "backend/cpu/kernels.h"

namespace ajet::cpu {

// isa "": AJET_ISA from the environment if set, else the best one the machine has. Otherwise "portable", "avx2" or
// "avx512"; throws invalid_argument where the name is unknown or the machine lacks the instructions.
const Kernels& select_kernels(const std::string& isa);

}  // namespace ajet::cpu
