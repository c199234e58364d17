// Sizes of sections that lie one behind the other in one allocation.
#pragma once

#include <cstddef>

#include "tensor/tensor.h"

namespace ajet {

// Rounded up so that what lies behind is aligned as an allocation is (Buffer).
constexpr size_t aligned_bytes(size_t bytes) { return (bytes + 255) / 256 * 256; }

// Of a matrix without gaps between its rows.
constexpr size_t section_bytes(int64_t rows, int64_t cols, DType dtype) {
  return aligned_bytes(static_cast<size_t>(rows * cols * dtype_bytes(dtype)));
}

}  // namespace ajet
