// Which cards there are, and whether this library has code for them.
#pragma once

#include <string_view>

#include "backend/cuda/library.h"

namespace ajet::cuda {

CudaProbe probe();
CudaDevice describe_device(int device);

// Whether a card of this compute capability runs code for one of `architectures`, as CudaProbe lists them: "86" is
// for 8.6 and later ones of 8, "90a" for 9.0 alone, "80+" for all from 8.0 on.
bool has_code_for(std::string_view architectures, int major, int minor);

}  // namespace ajet::cuda
