// TODO: gradients of linear.
#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {

void CudaBackend::do_linear_dx(Tensor, Tensor, const Weight&, bool) { fail_missing("linear_dx", "such op yet"); }

void CudaBackend::do_linear_dw(const Weight&, Tensor, Tensor, Tensor) { fail_missing("linear_dw", "such op yet"); }

}  // namespace ajet::cuda
