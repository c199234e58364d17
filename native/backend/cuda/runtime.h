// CUDA's runtime API, or the tests' stand-in for it.
#pragma once

#if defined(AJET_CUDA_EMULATED)
#include "cuda_emulator/runtime.h"
#else
#include <cuda_runtime_api.h>
#endif
