// TODO: deterministic dQ, dK, dV.
#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {

void CudaBackend::do_attention_tree_backward(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
                                             const TreeLayout&, const AttentionShape&, bool) {
  fail_missing("attention_tree_backward", "such op yet");
}

}  // namespace ajet::cuda
