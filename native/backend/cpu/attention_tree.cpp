#include <algorithm>
#include <vector>

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/attention_path.h"
#include "backend/cpu/attention_queries.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {
namespace {

struct TreeForward {
  Tensor o, lse, q, k, v;
  const TreeLayout& tree;
  const AttentionShape& shape;
  const Kernels& kernels;

  int64_t blocks() const { return round_up(tree.max_position, attention_block_keys) / attention_block_keys; }
  int64_t scratch_floats() const {
    return blocks() * block_floats(shape.head_dim) + attention_scratch_floats(shape.head_dim, tree.max_position);
  }
  void run(RowRange range, int64_t kv_head, float* scratch) const;
};

// One range of rows, one key/value head: the path's blocks are filled as the walk reaches their positions.
void TreeForward::run(RowRange range, int64_t kv_head, float* scratch) const {
  const int64_t dim = shape.head_dim, size = block_floats(dim);
  float* kernel_scratch = scratch + blocks() * size;
  std::vector<const float*> block_table(blocks());
  for (int64_t b = 0; b < blocks(); ++b) block_table[b] = scratch + b * size;
  const auto block = [&](int64_t b) { return scratch + b * size; };
  const auto write = [&](int64_t first_row, int64_t rows, int64_t position) {
    write_blocks(kernels, block, position, head_rows(k, first_row, rows, kv_head, dim),
                 head_rows(v, first_row, rows, kv_head, dim), dim);
  };
  for_each_path_run(path_above(tree, range.begin), write);

  QueryList queries(shape, kv_head);
  for_each_run(tree, range, [&](int64_t first_row, int64_t rows, int64_t position) {
    write(first_row, rows, position);
    queries.assign(q, o, lse, first_row - tree.context_tokens, rows, position);
    kernels.attention(queries.tile(block_table.data()), kernel_scratch);
  });
}

}  // namespace

void CpuBackend::do_attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                                   const AttentionShape& shape) {
  const TreeForward forward{o, lse, q, k, v, tree, shape, k_};
  // Cutting the rows costs one path each and changes no bits, so the number of ranges may follow the threads.
  const int64_t threads = pool_.threads(), wanted = threads == 1 ? 1 : (4 * threads - 1) / shape.kv_heads + 1;
  const std::vector<RowRange> ranges = split_by_pairs(tree, std::min(wanted, q.rows / 64 + 1));
  const int64_t tasks = static_cast<int64_t>(ranges.size()) * shape.kv_heads;
  const int64_t floats = round_up(forward.scratch_floats(), 16);
  float* slices = scratch(scratch_slices(pool_, tasks) * floats);
  parallel_with_scratch(pool_, tasks, slices, floats, [&](int64_t task, float* task_scratch) {
    forward.run(ranges[task / shape.kv_heads], task % shape.kv_heads, task_scratch);
  });
}

}  // namespace ajet::cpu
