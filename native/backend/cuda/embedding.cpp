// Rows of the embedding, and their gradient without atomics: tokens sorted by id, each id's rows added in order.
#include "backend/cuda/cuda_backend.h"

namespace ajet::cuda {
namespace {

Tensor as_tensor(const Weight& w) { return {w.data, w.dtype, w.rows, w.cols, weight_stride(w.cols)}; }

}  // namespace

void CudaBackend::do_embedding(Tensor y, std::span<const int32_t> ids, const Weight& w,
                               std::span<const TokenLogprob> drawn) {
  gather_rows_or_drawn(y, as_tensor(w), ids, drawn);
}

void CudaBackend::do_embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) {
  add_rows(as_tensor(dw), dy, ids);
}

}  // namespace ajet::cuda
