#include <algorithm>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_tasks.h"

namespace ajet::cpu {

void CpuBackend::do_rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) {
  parallel_rows(pool_, x.rows, x.cols, [&](int64_t row) {
    k_.rmsnorm(y.f32() + row * y.stride, x.f32() + row * x.stride, weight.f32(), x.cols / width, width, eps);
  });
}

void CpuBackend::do_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight,
                                     int64_t width, float eps, bool accumulate) {
  // dweight is summed over blocks of 64 rows, then over the blocks, both ascending: the same for any number of threads.
  constexpr int64_t block_rows = 64;
  const int64_t blocks = (x.rows + block_rows - 1) / block_rows;
  float* parts = scratch(blocks * width);
  pool_.parallel_for(blocks, [&](int64_t block) {
    float* part = parts + block * width;
    std::fill_n(part, width, 0.0F);
    const int64_t end = std::min(x.rows, (block + 1) * block_rows);
    for (int64_t row = block * block_rows; row < end; ++row) {
      const float* input = x.f32() + row * x.stride;
      k_.rmsnorm_backward(dx.f32() + row * dx.stride, part, dy.f32() + row * dy.stride, input, weight.f32(),
                          x.cols / width, width, eps, accumulate);
      if (y.data != nullptr) k_.rmsnorm(y.f32() + row * y.stride, input, weight.f32(), x.cols / width, width, eps);
    }
  });
  for (int64_t block = 0; block < blocks; ++block)
    for (int64_t i = 0; i < width; ++i) dweight.f32()[i] += parts[block * width + i];
}

}  // namespace ajet::cpu
