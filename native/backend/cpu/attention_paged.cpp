// The KV cache [layer][block][kv_head] of blocks as in attention_kernels.h, and attention over it.
#include <algorithm>
#include <vector>

#include "backend/cpu/attention_kernels.h"
#include "backend/cpu/attention_queries.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/task_scratch.h"

namespace ajet::cpu {
namespace {

static_assert(attention_block_keys == kv_block_tokens);

constexpr int64_t rows_per_task = 32;

float* block_of(const KvCache& cache, int64_t layer, int64_t block, int64_t kv_head) {
  return static_cast<float*>(cache.data) +
         ((layer * cache.blocks + block) * cache.kv_heads + kv_head) * block_floats(cache.head_dim);
}

// Rows of one sequence: at most rows_per_task.
struct SequenceRows {
  int64_t sequence;
  int64_t first_row;
  int64_t rows;
  int64_t position;
};

std::vector<SequenceRows> split_rows(const PagedLayout& layout) {
  std::vector<SequenceRows> parts;
  for (int64_t s = 0; s < layout.sequences(); ++s) {
    const int64_t begin = layout.row_offsets[s], end = layout.row_offsets[s + 1];
    for (int64_t row = begin; row < end; row += rows_per_task)
      parts.push_back({s, row, std::min(rows_per_task, end - row), layout.start_positions[s] + row - begin});
  }
  return parts;
}

}  // namespace

size_t CpuBackend::kv_cache_bytes(int64_t blocks, int64_t layers, int64_t kv_heads, int64_t head_dim) const {
  return static_cast<size_t>(blocks * layers * kv_heads * block_floats(head_dim)) * sizeof(float);
}

void CpuBackend::do_kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) {
  const std::vector<SequenceRows> parts = split_rows(layout);
  const int64_t dim = cache.head_dim;
  pool_.parallel_for(static_cast<int64_t>(parts.size()), [&](int64_t i) {
    const SequenceRows& part = parts[i];
    const int32_t* table = layout.block_table.data() + layout.block_offsets[part.sequence];
    for (int64_t head = 0; head < cache.kv_heads; ++head) {
      const auto block = [&](int64_t b) { return block_of(cache, layer, table[b], head); };
      write_blocks(k_, block, part.position, head_rows(k, part.first_row, part.rows, head, dim),
                   head_rows(v, part.first_row, part.rows, head, dim), dim);
    }
  });
}

void CpuBackend::do_kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) {
  const int64_t dim = cache.head_dim, padded = padded_dim(dim);
  pool_.parallel_for(cache.layers, [&](int64_t layer) {
    for (int64_t head = 0; head < cache.kv_heads; ++head) {
      const float* source = block_of(cache, layer, from, head);
      float* target = block_of(cache, layer, to, head);
      for (int64_t d = 0; d < dim; ++d)
        std::copy_n(source + d * attention_block_keys, tokens, target + d * attention_block_keys);
      std::copy_n(source + block_values_offset(dim), tokens * padded, target + block_values_offset(dim));
    }
  });
}

void CpuBackend::do_attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                                    const AttentionShape& shape) {
  const std::vector<SequenceRows> parts = split_rows(layout);
  int64_t max_position = 0;
  for (const SequenceRows& part : parts) max_position = std::max(max_position, part.position + part.rows);
  const int64_t tasks = static_cast<int64_t>(parts.size()) * shape.kv_heads;
  const int64_t floats = round_up(attention_scratch_floats(shape.head_dim, max_position), 16);
  float* slices = scratch(scratch_slices(pool_, tasks) * floats);
  parallel_with_scratch(pool_, tasks, slices, floats, [&](int64_t task, float* task_scratch) {
    const SequenceRows& part = parts[task / shape.kv_heads];
    const int64_t kv_head = task % shape.kv_heads;
    const int64_t blocks = (part.position + part.rows - 1) / kv_block_tokens + 1;
    const int32_t* table = layout.block_table.data() + layout.block_offsets[part.sequence];
    std::vector<const float*> block_table(blocks);
    for (int64_t b = 0; b < blocks; ++b) block_table[b] = block_of(cache, layer, table[b], kv_head);
    QueryList queries(shape, kv_head);
    queries.assign(q, o, {}, part.first_row, part.rows, part.position);
    k_.attention(queries.tile(block_table.data()), task_scratch);
  });
}

}  // namespace ajet::cpu
