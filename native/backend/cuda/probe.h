// Which cards there are, and whether this library has code for them.
#pragma once

#include "backend/cuda/library.h"

namespace ajet::cuda {

CudaProbe probe();
CudaDevice describe_device(int device);

}  // namespace ajet::cuda
