// Attention over the token tree: keys of a path are gathered through a table of its rows.
#include "backend/cuda/attention_forward.cuh"

namespace ajet::cuda {

const TreePlan& CudaBackend::tree_plan(const TreeLayout& tree, const AttentionShape& shape, int64_t queries) {
  const int64_t group = shape.heads / shape.kv_heads;
  if (queries * group * group >= int64_t{1} << 32) {
    fail(ErrorCode::invalid_argument, "[attention_tree] Expected rows * (heads / kv_heads)^2 below 2^32 but received " +
                                          std::to_string(queries) + " rows and groups of " + std::to_string(group));
  }
  const bool half = compute_dtype() == DType::bf16;
  tree_plan_.prepare(tree, group, shape.kv_heads,
                     {.forward_rows = half ? large_tile_rows<bf16> : large_tile_rows<float>,
                      .small_rows = small_tile_rows,
                      .backward_rows = half ? backward_tile_rows<bf16> : backward_tile_rows<float>,
                      .backward_keys = half ? backward_tile_keys<bf16> : backward_tile_keys<float>});
  return tree_plan_;
}

void CudaBackend::do_attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                                    const AttentionShape& shape) {
  constexpr const char* op = "attention_tree";
  require_one_dtype(op, {o, q, k, v});
  const TreePlan& plan = tree_plan(tree, shape, q.rows);
  with_element(q.dtype, [&](auto element) {
    using T = decltype(element);
    const AttentionTensors<T> tensors{query_rows<const T>(q, shape),
                                      query_rows<T>(o, shape),
                                      path_keys<T>(k, shape, plan.data(plan.path_rows)),
                                      path_keys<T>(v, shape, plan.data(plan.path_rows)),
                                      lse.f32(),
                                      lse.stride,
                                      shape.scale};
    attend_large(stream_, tensors, plan.data(plan.large_tiles), plan.large_tiles.count, shape.kv_heads, op);
    attend_small(stream_, tensors, plan.data(plan.small_tiles), plan.small_tiles.count, shape.kv_heads,
                 device_.block_shared_bytes, op);
  });
}

}  // namespace ajet::cuda
