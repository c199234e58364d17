#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/row_tasks.h"

namespace ajet::cpu {

void CpuBackend::do_swiglu(Tensor y, Tensor gate, Tensor up) {
  parallel_rows(pool_, y.rows, 4 * y.cols, [&](int64_t row) {
    k_.swiglu(y.f32() + row * y.stride, gate.f32() + row * gate.stride, up.f32() + row * up.stride, y.cols);
  });
}

void CpuBackend::do_swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up) {
  parallel_rows(pool_, dy.rows, 4 * dy.cols, [&](int64_t row) {
    k_.swiglu_backward(dgate.f32() + row * dgate.stride, dup.f32() + row * dup.stride, y.f32() + row * y.stride,
                       dy.f32() + row * dy.stride, gate.f32() + row * gate.stride, up.f32() + row * up.stride, dy.cols);
  });
}

}  // namespace ajet::cpu
