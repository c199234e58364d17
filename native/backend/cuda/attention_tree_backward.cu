// Gradients of attention over the token tree; attention_backward.cuh says how.
#include "backend/cuda/attention_backward.cuh"

namespace ajet::cuda {
namespace {

constexpr int statistics_warps = 8;

// A warp for each row and head: delta = Σ dout * o. Bound: the bytes of dout and o.
template <typename T>
__global__ void __launch_bounds__(statistics_warps* warp_lanes)
    statistics_kernel(RowStatistics* statistics, QueryRows<const T> dout, QueryRows<const T> o, const float* lse,
                      int64_t lse_stride, int64_t query_rows, int64_t count) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * statistics_warps + warp_index();
  if (index >= count) return;  // the whole warp
  const int kv_head = static_cast<int>(index / query_rows), row = static_cast<int>(index - kv_head * query_rows);
  float delta = 0;
  for (int col = lane_index() * vector_width; col < o.dim; col += warp_lanes * vector_width) {
    float left[vector_width], right[vector_width];
    load8(left, dout.at(kv_head, row) + col, o.dim - col, dout.rows.vectorized);
    load8(right, o.at(kv_head, row) + col, o.dim - col, o.rows.vectorized);
#pragma unroll
    for (int i = 0; i < vector_width; ++i) delta = fmaf(left[i], right[i], delta);
  }
  delta = warp_sum(delta);
  if (lane_index() == 0) statistics[index] = {lse[o.token(row) * lse_stride + o.head(kv_head, row)] * log2_e, delta};
}

KeyGradients key_gradients(const Tensor& tensor, const AttentionShape& shape) {
  const int64_t bytes = dtype_bytes(tensor.dtype);
  const bool vectorized = reinterpret_cast<uintptr_t>(tensor.data) % 16 == 0 && tensor.stride * bytes % 16 == 0 &&
                          shape.head_dim * bytes % 16 == 0;
  return {tensor.data, tensor.stride, tensor.dtype == DType::f32, vectorized};
}

}  // namespace

void CudaBackend::do_attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse,
                                             Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                                             const AttentionShape& shape, bool accumulate) {
  require_one_dtype("attention_tree_backward", {dq, dout, o, q, k, v});
  const TreePlan& plan = tree_plan(tree, shape, q.rows);
  const int64_t query_rows_count = q.rows * (shape.heads / shape.kv_heads), count = query_rows_count * shape.kv_heads;
  const Scratch statistics = scratch(static_cast<size_t>(count) * sizeof(RowStatistics));
  with_element(q.dtype, [&](auto element) {
    using T = decltype(element);
    launch(stream_, {ceil_div(count, statistics_warps), statistics_warps * warp_lanes}, statistics_kernel<T>,
           statistics.as<RowStatistics>(), query_rows<const T>(dout, shape), query_rows<const T>(o, shape), lse.f32(),
           lse.stride, query_rows_count, count);
    const BackwardTensors<T> tensors{query_rows<const T>(q, shape),
                                     query_rows<const T>(dout, shape),
                                     path_keys<T>(k, shape, plan.data(plan.path_rows)),
                                     path_keys<T>(v, shape, plan.data(plan.path_rows)),
                                     statistics.as<RowStatistics>(),
                                     query_rows_count,
                                     shape.scale};
    attend_query_gradients(stream_, tensors, query_rows<T>(dq, shape), plan.data(plan.backward_tiles),
                           plan.backward_tiles.count, shape.kv_heads);
    const int64_t slot_floats = 2 * backward_tile_keys<T> * max_head_dim;
    const Scratch partial = scratch(static_cast<size_t>(shape.kv_heads * plan.slots * slot_floats) * sizeof(float));
    const KeyGradientTargets targets{key_gradients(dk, shape),
                                     key_gradients(dv, shape),
                                     partial.as<float>(),
                                     plan.slots,
                                     static_cast<int>(tree.context_tokens),
                                     accumulate};
    attend_key_gradients(stream_, tensors, targets, plan.data(plan.key_tiles), plan.key_tiles.count,
                         plan.data(plan.key_tile_parts), plan.key_tile_parts.count, shape.kv_heads);
  });
}

}  // namespace ajet::cuda
