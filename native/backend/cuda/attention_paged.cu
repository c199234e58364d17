// The KV cache, and attention over it. Layout [layer][block][kv_head][keys, values][16 positions][head_dim]: what a
// block of threads reads of a KV block lies in one piece, 8 KiB for head_dim 128 in bf16.
#include "backend/cuda/attention_forward.cuh"

namespace ajet::cuda {
namespace {

constexpr int position_bits = 4;
static_assert(kv_block_tokens == 1 << position_bits);

// Rows of head_dim elements: kv_heads * 2 * 16 of them are a block.
template <typename T>
Rows<T> cache_rows(const KvCache& cache, int64_t layer) {
  const int64_t layer_rows = cache.blocks * cache.kv_heads * 2 * kv_block_tokens;
  auto* data = static_cast<T*>(cache.data) + layer * layer_rows * cache.head_dim;
  return {data, cache.head_dim, is_vectorizable(data, cache.head_dim)};
}

template <typename T>
KeyRows<T> cached_keys(const KvCache& cache, int64_t layer, const int32_t* block_table) {
  return {cache_rows<const T>(cache, layer), 2 * kv_block_tokens * cache.head_dim, block_table, position_bits,
          static_cast<int>(cache.kv_heads * 2 * kv_block_tokens)};
}

template <typename T>
KeyRows<T> cached_values(const KvCache& cache, int64_t layer, const int32_t* block_table) {
  KeyRows<T> values = cached_keys<T>(cache, layer, block_table);
  values.rows.data += kv_block_tokens * cache.head_dim;
  return values;
}

// Block of each new token: table[b] for its position's b.
struct NewTokens {
  const int32_t *positions, *blocks;
  int kv_heads, dim, vectors;  // of a head
  int64_t count;
  friend bool operator==(const NewTokens&, const NewTokens&) = default;
};

// A thread stores eight elements of k and of v.
template <typename T>
__global__ void __launch_bounds__(RowVectors::threads)
    kv_write_kernel(Rows<T> cache, Rows<const T> k, Rows<const T> v, NewTokens tokens) {
  const int64_t index = static_cast<int64_t>(blockIdx.x) * RowVectors::threads + threadIdx.x;
  const int64_t per_token = int64_t{tokens.kv_heads} * tokens.vectors;
  if (index >= tokens.count * per_token) return;
  const int64_t token = index / per_token;
  const int in_token = static_cast<int>(index - token * per_token), head = in_token / tokens.vectors;
  const int col = (in_token - head * tokens.vectors) * vector_width, count = tokens.dim - col;
  const int64_t row = (int64_t{tokens.blocks[token]} * tokens.kv_heads + head) * 2 * kv_block_tokens +
                      tokens.positions[token] % kv_block_tokens;
  float values[vector_width];
  load8(values, k.row(token) + head * tokens.dim + col, count, k.vectorized);
  store8(cache.row(row) + col, values, count, cache.vectorized);
  load8(values, v.row(token) + head * tokens.dim + col, count, v.vectorized);
  store8(cache.row(row + kv_block_tokens) + col, values, count, cache.vectorized);
}

// Rows [0, tokens) of the keys and the values of every head and layer: one block of threads each.
template <typename T>
__global__ void __launch_bounds__(128)
    kv_copy_kernel(T* data, int64_t layer_step, int64_t part_elements, int64_t to, int64_t from, int64_t elements) {
  T* part = data + static_cast<int64_t>(blockIdx.y) * layer_step + static_cast<int64_t>(blockIdx.x) * part_elements;
  for (int64_t i = threadIdx.x; i < elements; i += 128) part[to + i] = part[from + i];
}

}  // namespace

void CudaBackend::do_kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) {
  require_one_dtype("kv_write", {k, v});
  if (k.dtype != cache.dtype) fail_missing("kv_write", "conversion of keys to the cache's type");
  std::vector<int32_t> blocks(static_cast<size_t>(k.rows));
  for (int64_t s = 0; s < layout.sequences(); ++s)
    for (int64_t row = layout.row_offsets[s]; row < layout.row_offsets[s + 1]; ++row)
      blocks[row] = layout.block_table[layout.block_offsets[s] + layout.positions[row] / kv_block_tokens];
  const int64_t vectors = ceil_div(cache.head_dim, vector_width);
  const NewTokens tokens{arguments_.send(layout.positions), arguments_.send(std::span<const int32_t>(blocks)),
                         static_cast<int>(cache.kv_heads),  static_cast<int>(cache.head_dim),
                         static_cast<int>(vectors),         k.rows};
  with_element(k.dtype, [&](auto element) {
    using T = decltype(element);
    const auto aligned = [&](Rows<const T> rows) {
      rows.vectorized = rows.vectorized && cache.head_dim % vector_width == 0;
      return rows;
    };
    launch(stream_, {ceil_div(k.rows * cache.kv_heads * vectors, RowVectors::threads), RowVectors::threads},
           kv_write_kernel<T>, cache_rows<T>(cache, layer), aligned(rows_of<const T>(k)), aligned(rows_of<const T>(v)),
           tokens);
  });
}

void CudaBackend::do_kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) {
  const int64_t parts = 2 * cache.kv_heads, part = kv_block_tokens * cache.head_dim;
  with_element(cache.dtype, [&](auto element) {
    using T = decltype(element);
    launch(stream_, {.blocks = parts, .threads = 128, .blocks_y = cache.layers}, kv_copy_kernel<T>,
           static_cast<T*>(cache.data), cache.blocks * parts * part, part, to * parts * part, from * parts * part,
           tokens * cache.head_dim);
  });
}

void CudaBackend::do_attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                                     const AttentionShape& shape) {
  constexpr const char* op = "attention_paged";
  require_one_dtype(op, {o, q});
  if (q.dtype != cache.dtype) fail_missing(op, "queries of another type than the cache's");
  const int64_t group = shape.heads / shape.kv_heads;
  const bool half = q.dtype == DType::bf16;
  const QueryTiles& tiles = paged_plan_.prepare(layout, group,
                                                {.forward_rows = half ? large_tile_rows<bf16> : large_tile_rows<float>,
                                                 .small_rows = small_tile_rows,
                                                 .backward_rows = 0,
                                                 .backward_keys = 0});
  const int32_t* block_table = arguments_.send(layout.block_table);
  const auto send = [&](const std::vector<QueryTile>& list) {
    return arguments_.send(std::span<const QueryTile>(list));
  };
  with_element(q.dtype, [&](auto element) {
    using T = decltype(element);
    const AttentionTensors<T> tensors{query_rows<const T>(q, shape),
                                      query_rows<T>(o, shape),
                                      cached_keys<T>(cache, layer, block_table),
                                      cached_values<T>(cache, layer, block_table),
                                      nullptr,
                                      0,
                                      shape.scale};
    attend_large(stream_, tensors, send(tiles.large), static_cast<int64_t>(tiles.large.size()), shape.kv_heads, op);
    attend_small(stream_, tensors, send(tiles.small), static_cast<int64_t>(tiles.small.size()), shape.kv_heads,
                 device_.block_shared_bytes, op);
  });
}

}  // namespace ajet::cuda
