// The checks of every public op: types, shapes, strides, ids. The devices' do_* may rely on them.
#include "backend/backend.h"

#include <string>
#include <type_traits>

#include "base/error.h"

namespace ajet {
namespace {

// Texts and whole numbers, one after another.
template <typename... Parts>
std::string text(const Parts&... parts) {
  std::string joined;
  const auto append = [&](const auto& part) {
    if constexpr (std::is_arithmetic_v<std::decay_t<decltype(part)>>) {
      joined += std::to_string(part);
    } else {
      joined += part;
    }
  };
  (append(parts), ...);
  return joined;
}

[[noreturn]] void fail_check(const char* op, const std::string& expected, const char* name, const std::string& actual) {
  fail(ErrorCode::invalid_argument, text("[", op, "] Expected ", expected, " for `", name, "` but received ", actual));
}

std::string shape_text(int64_t rows, int64_t cols) { return text("[", rows, ", ", cols, "]"); }

// t is f32[rows, cols] with memory and a stride that covers its columns.
void check_matrix(const char* op, const char* name, const Tensor& t, int64_t rows, int64_t cols) {
  if (t.dtype != DType::f32) fail_check(op, "float32", name, t.dtype == DType::bf16 ? "bfloat16" : "int32");
  if (t.rows != rows || t.cols != cols) {
    fail_check(op, "shape " + shape_text(rows, cols), name, shape_text(t.rows, t.cols));
  }
  if (t.rows > 1 && t.stride < t.cols) {
    fail_check(op, text("a stride of at least ", t.cols), name, std::to_string(t.stride));
  }
  if (t.data == nullptr && t.rows > 0 && t.cols > 0) fail_check(op, "memory", name, "null");
}

// The tensor that fixes the op's sizes: any shape without negative numbers.
void check_matrix(const char* op, const char* name, const Tensor& t) {
  if (t.rows < 0 || t.cols < 0) fail_check(op, "sizes >= 0", name, shape_text(t.rows, t.cols));
  check_matrix(op, name, t, t.rows, t.cols);
}

void check_vector(const char* op, const char* name, const Tensor& t, int64_t size) {
  check_matrix(op, name, t, 1, size);
}

void check_weight(const char* op, const char* name, const Weight& w, int64_t rows, int64_t cols) {
  if (w.rows != rows || w.cols != cols) {
    fail_check(op, "shape " + shape_text(rows, cols), name, shape_text(w.rows, w.cols));
  }
  if (w.data == nullptr && w.rows > 0 && w.cols > 0) fail_check(op, "memory", name, "null");
}

template <typename T>
void check_size(const char* op, const char* name, std::span<T> values, int64_t size) {
  if (static_cast<int64_t>(values.size()) != size) {
    fail_check(op, text(size, " elements"), name, std::to_string(values.size()));
  }
}

// Every value lies in [0, limit).
void check_ids(const char* op, const char* name, std::span<const int32_t> ids, int64_t limit) {
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= limit) {
      fail_check(op, text("ids in [0, ", limit, ")"), name, text(ids[i], " at index ", i));
    }
  }
}

void check_multiple(const char* op, const char* name, int64_t value, int64_t divisor) {
  if (divisor <= 0 || value % divisor != 0) {
    fail_check(op, text("a positive divisor of ", value), name, std::to_string(divisor));
  }
}

void check_norm(const char* op, const Tensor& x, const Tensor& weight, int64_t width, float eps) {
  check_matrix(op, "x", x);
  check_multiple(op, "width", x.cols, width);
  check_vector(op, "weight", weight, width);
  if (!(eps >= 0)) fail_check(op, "a number >= 0", "eps", std::to_string(eps));
}

void check_attention_shape(const char* op, const AttentionShape& shape) {
  if (shape.heads <= 0 || shape.head_dim <= 0) {
    fail_check(op, "positive heads and head_dim", "shape", shape_text(shape.heads, shape.head_dim));
  }
  check_multiple(op, "shape.kv_heads", shape.heads, shape.kv_heads);
}

// The nodes tile the rows [0, tokens) in order; parents come first; a node starts where its parent ended.
void check_tree(const char* op, const TreeLayout& tree, int64_t tokens) {
  int64_t next = 0;
  for (size_t i = 0; i < tree.nodes.size(); ++i) {
    const TreeNode& node = tree.nodes[i];
    if (node.first_token != next || node.tokens <= 0) {
      fail_check(op, text("contiguous tokens from row ", next), "tree.nodes",
                 text("node ", i, " with rows [", node.first_token, ", +", node.tokens, ")"));
    }
    next += node.tokens;
    if (node.parent < -1 || node.parent >= static_cast<int64_t>(i)) {
      fail_check(op, "a parent before its node", "tree.nodes", text("node ", i, " with parent ", node.parent));
    }
    const int64_t start = node.parent < 0 ? 0 : tree.nodes[node.parent].position + tree.nodes[node.parent].tokens;
    if (node.position != start || node.position + node.tokens > tree.max_position) {
      fail_check(op, text("position ", start, " and an end within max_position"), "tree.nodes",
                 text("node ", i, " at position ", node.position));
    }
  }
  if (next != tokens) fail_check(op, text(tokens, " tokens"), "tree.nodes", std::to_string(next));
  check_size(op, "tree.positions", tree.positions, tokens);
}

void check_cache(const char* op, const KvCache& cache, int64_t layer, int64_t kv_heads, int64_t head_dim) {
  if (cache.data == nullptr) fail_check(op, "memory", "cache", "null");
  if (cache.dtype != DType::f32) fail_check(op, "float32", "cache", "another type");
  if (cache.kv_heads != kv_heads || cache.head_dim != head_dim) {
    fail_check(op, "kv_heads, head_dim of " + shape_text(kv_heads, head_dim), "cache",
               shape_text(cache.kv_heads, cache.head_dim));
  }
  if (layer < 0 || layer >= cache.layers) {
    fail_check(op, text("a layer in [0, ", cache.layers, ")"), "layer", std::to_string(layer));
  }
}

// Offsets ascend from 0 and end at `end`; returns nothing, throws otherwise.
void check_offsets(const char* op, const char* name, std::span<const int32_t> offsets, int64_t count, int64_t end) {
  check_size(op, name, offsets, count + 1);
  for (int64_t i = 0; i < count; ++i) {
    if (offsets[i + 1] < offsets[i]) fail_check(op, "ascending offsets", name, std::to_string(offsets[i + 1]));
  }
  if (offsets[0] != 0 || offsets[count] != end) {
    fail_check(op, text("offsets from 0 to ", end), name, text(offsets[0], " to ", offsets[count]));
  }
}

void check_paged(const char* op, const PagedLayout& layout, int64_t rows, int64_t blocks) {
  const int64_t sequences = layout.sequences();
  check_offsets(op, "layout.row_offsets", layout.row_offsets, sequences, rows);
  check_offsets(op, "layout.block_offsets", layout.block_offsets, sequences,
                static_cast<int64_t>(layout.block_table.size()));
  check_size(op, "layout.positions", layout.positions, rows);
  check_ids(op, "layout.block_table", layout.block_table, blocks);
  for (int64_t s = 0; s < sequences; ++s) {
    const int64_t start = layout.start_positions[s];
    const int64_t end = start + layout.row_offsets[s + 1] - layout.row_offsets[s];
    const int64_t covered = kv_block_tokens * (layout.block_offsets[s + 1] - layout.block_offsets[s]);
    if (start < 0 || end > covered) {
      fail_check(op, text("blocks for ", end, " positions of sequence ", s),
                 "layout.block_table", std::to_string(covered));
    }
  }
}

void check_entries(const char* op, const Tensor& logits, std::span<const float> inverse_temperature,
                   std::span<const float> lse, std::span<const int32_t> row, std::span<const int32_t> token) {
  check_matrix(op, "logits", logits);
  check_size(op, "inverse_temperature", inverse_temperature, logits.rows);
  check_size(op, "lse", lse, logits.rows);
  check_size(op, "token", token, static_cast<int64_t>(row.size()));
  check_ids(op, "row", row, logits.rows);
  check_ids(op, "token", token, logits.cols);
}

}  // namespace

Buffer::~Buffer() {
  if (data_ != nullptr) backend_->do_free(data_, bytes_);
}

Buffer Backend::allocate(size_t bytes) { return Buffer(shared_from_this(), do_allocate(bytes), bytes); }

// ---- linear -------------------------------------------------------------------------------------------

void Backend::linear(Tensor y, Tensor x, const Weight& w, Tensor bias) {
  check_matrix("linear", "x", x);
  check_weight("linear", "w", w, w.rows, x.cols);
  check_matrix("linear", "y", y, x.rows, w.rows);
  if (bias.data != nullptr) check_vector("linear", "bias", bias, w.rows);
  if (y.rows > 0 && y.cols > 0) do_linear(y, x, w, bias);
}

void Backend::linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  check_matrix("linear_dx", "dy", dy);
  check_weight("linear_dx", "w", w, dy.cols, w.cols);
  check_matrix("linear_dx", "dx", dx, dy.rows, w.cols);
  if (dx.rows > 0 && dx.cols > 0) do_linear_dx(dx, dy, w, accumulate);
}

void Backend::linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) {
  check_matrix("linear_dw", "dy", dy);
  check_matrix("linear_dw", "x", x, dy.rows, x.cols);
  check_weight("linear_dw", "dw", dw, dy.cols, x.cols);
  if (dbias.data != nullptr) check_vector("linear_dw", "dbias", dbias, dy.cols);
  if (dy.rows > 0 && dy.cols > 0) do_linear_dw(dw, dbias, dy, x);
}

// ---- embedding ----------------------------------------------------------------------------------------

void Backend::embedding(Tensor y, std::span<const int32_t> ids, const Weight& w) {
  check_weight("embedding", "w", w, w.rows, w.cols);
  check_matrix("embedding", "y", y, static_cast<int64_t>(ids.size()), w.cols);
  check_ids("embedding", "ids", ids, w.rows);
  if (!ids.empty()) do_embedding(y, ids, w);
}

void Backend::embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) {
  check_weight("embedding_dw", "dw", dw, dw.rows, dw.cols);
  check_matrix("embedding_dw", "dy", dy, static_cast<int64_t>(ids.size()), dw.cols);
  check_ids("embedding_dw", "ids", ids, dw.rows);
  if (!ids.empty()) do_embedding_dw(dw, ids, dy);
}

// ---- elementwise and norms ----------------------------------------------------------------------------

void Backend::rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) {
  check_norm("rmsnorm", x, weight, width, eps);
  check_matrix("rmsnorm", "y", y, x.rows, x.cols);
  if (x.rows > 0) do_rmsnorm(y, x, weight, width, eps);
}

void Backend::rmsnorm_backward(Tensor dx, Tensor dweight, Tensor dy, Tensor x, Tensor weight, int64_t width, float eps,
                               bool accumulate) {
  check_norm("rmsnorm_backward", x, weight, width, eps);
  check_matrix("rmsnorm_backward", "dx", dx, x.rows, x.cols);
  check_matrix("rmsnorm_backward", "dy", dy, x.rows, x.cols);
  check_vector("rmsnorm_backward", "dweight", dweight, width);
  if (x.rows > 0) do_rmsnorm_backward(dx, dweight, dy, x, weight, width, eps, accumulate);
}

void Backend::rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
                   int64_t head_dim, bool inverse) {
  check_matrix("rope", "x", x);
  check_multiple("rope", "head_dim", x.cols, head_dim);
  if (head_dim % 2 != 0) fail_check("rope", "an even number", "head_dim", std::to_string(head_dim));
  check_size("rope", "positions", positions, x.rows);
  check_size("rope", "inverse_frequencies", inverse_frequencies, head_dim / 2);
  if (x.rows > 0) do_rope(x, positions, inverse_frequencies, head_dim, inverse);
}

void Backend::swiglu(Tensor y, Tensor gate, Tensor up) {
  check_matrix("swiglu", "gate", gate);
  check_matrix("swiglu", "up", up, gate.rows, gate.cols);
  check_matrix("swiglu", "y", y, gate.rows, gate.cols);
  if (y.rows > 0) do_swiglu(y, gate, up);
}

void Backend::swiglu_backward(Tensor dgate, Tensor dup, Tensor dy, Tensor gate, Tensor up) {
  check_matrix("swiglu_backward", "dy", dy);
  check_matrix("swiglu_backward", "dgate", dgate, dy.rows, dy.cols);
  check_matrix("swiglu_backward", "dup", dup, dy.rows, dy.cols);
  check_matrix("swiglu_backward", "gate", gate, dy.rows, dy.cols);
  check_matrix("swiglu_backward", "up", up, dy.rows, dy.cols);
  if (dy.rows > 0) do_swiglu_backward(dgate, dup, dy, gate, up);
}

void Backend::add(Tensor y, Tensor x) {
  check_matrix("add", "y", y);
  check_matrix("add", "x", x, y.rows, y.cols);
  if (y.rows > 0) do_add(y, x);
}

void Backend::gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  check_matrix("gather_rows", "x", x);
  check_matrix("gather_rows", "y", y, static_cast<int64_t>(rows.size()), x.cols);
  check_ids("gather_rows", "rows", rows, x.rows);
  if (!rows.empty()) do_gather_rows(y, x, rows);
}

void Backend::scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  check_matrix("scatter_add_rows", "y", y);
  check_matrix("scatter_add_rows", "x", x, static_cast<int64_t>(rows.size()), y.cols);
  check_ids("scatter_add_rows", "rows", rows, y.rows);
  if (!rows.empty()) do_scatter_add_rows(y, x, rows);
}

// ---- attention ----------------------------------------------------------------------------------------

void Backend::attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                             const AttentionShape& shape) {
  constexpr const char* op = "attention_tree";
  check_attention_shape(op, shape);
  check_tree(op, tree, q.rows);
  check_matrix(op, "q", q, q.rows, shape.heads * shape.head_dim);
  check_matrix(op, "k", k, q.rows, shape.kv_heads * shape.head_dim);
  check_matrix(op, "v", v, q.rows, shape.kv_heads * shape.head_dim);
  check_matrix(op, "o", o, q.rows, q.cols);
  check_matrix(op, "lse", lse, q.rows, shape.heads);
  if (q.rows > 0) do_attention_tree(o, lse, q, k, v, tree, shape);
}

void Backend::attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse, Tensor q,
                                      Tensor k, Tensor v, const TreeLayout& tree, const AttentionShape& shape) {
  constexpr const char* op = "attention_tree_backward";
  check_attention_shape(op, shape);
  check_tree(op, tree, q.rows);
  const int64_t query_cols = shape.heads * shape.head_dim;
  const int64_t key_cols = shape.kv_heads * shape.head_dim;
  check_matrix(op, "q", q, q.rows, query_cols);
  check_matrix(op, "k", k, q.rows, key_cols);
  check_matrix(op, "v", v, q.rows, key_cols);
  check_matrix(op, "o", o, q.rows, query_cols);
  check_matrix(op, "dout", dout, q.rows, query_cols);
  check_matrix(op, "dq", dq, q.rows, query_cols);
  check_matrix(op, "dk", dk, q.rows, key_cols);
  check_matrix(op, "dv", dv, q.rows, key_cols);
  check_matrix(op, "lse", lse, q.rows, shape.heads);
  if (q.rows > 0) do_attention_tree_backward(dq, dk, dv, dout, o, lse, q, k, v, tree, shape);
}

void Backend::kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) {
  check_cache("kv_write", cache, layer, cache.kv_heads, cache.head_dim);
  check_matrix("kv_write", "k", k, k.rows, cache.kv_heads * cache.head_dim);
  check_matrix("kv_write", "v", v, k.rows, cache.kv_heads * cache.head_dim);
  check_paged("kv_write", layout, k.rows, cache.blocks);
  if (k.rows > 0) do_kv_write(cache, layer, k, v, layout);
}

void Backend::kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) {
  check_cache("kv_copy_block", cache, 0, cache.kv_heads, cache.head_dim);
  check_ids("kv_copy_block", "to", std::span<const int32_t>(&to, 1), cache.blocks);
  check_ids("kv_copy_block", "from", std::span<const int32_t>(&from, 1), cache.blocks);
  if (tokens < 0 || tokens > kv_block_tokens) {
    fail_check("kv_copy_block", "a number in [0, 16]", "tokens", std::to_string(tokens));
  }
  if (tokens > 0 && to != from) do_kv_copy_block(cache, to, from, tokens);
}

void Backend::attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                              const AttentionShape& shape) {
  constexpr const char* op = "attention_paged";
  check_attention_shape(op, shape);
  check_cache(op, cache, layer, shape.kv_heads, shape.head_dim);
  check_matrix(op, "q", q, q.rows, shape.heads * shape.head_dim);
  check_matrix(op, "o", o, q.rows, q.cols);
  check_paged(op, layout, q.rows, cache.blocks);
  if (q.rows > 0) do_attention_paged(o, q, cache, layer, layout, shape);
}

// ---- LM head ------------------------------------------------------------------------------------------

void Backend::log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                          std::span<const float> inverse_temperature) {
  check_matrix("log_sum_exp", "logits", logits);
  check_size("log_sum_exp", "inverse_temperature", inverse_temperature, logits.rows);
  check_size("log_sum_exp", "lse", lse, logits.rows);
  if (!entropy.empty()) check_size("log_sum_exp", "entropy", entropy, logits.rows);
  if (logits.rows > 0) do_log_sum_exp(lse, entropy, logits, inverse_temperature);
}

void Backend::gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                              std::span<const float> lse, std::span<const int32_t> row,
                              std::span<const int32_t> token) {
  check_entries("gather_logprobs", logits, inverse_temperature, lse, row, token);
  check_size("gather_logprobs", "out", out, static_cast<int64_t>(row.size()));
  if (!row.empty()) do_gather_logprobs(out, logits, inverse_temperature, lse, row, token);
}

void Backend::logits_backward(Tensor logits, std::span<const float> inverse_temperature, std::span<const float> lse,
                              std::span<const float> entropy, std::span<const float> dentropy,
                              std::span<const int32_t> row, std::span<const int32_t> token,
                              std::span<const float> dlogprob) {
  constexpr const char* op = "logits_backward";
  check_entries(op, logits, inverse_temperature, lse, row, token);
  check_size(op, "dlogprob", dlogprob, static_cast<int64_t>(row.size()));
  for (size_t i = 1; i < row.size(); ++i) {
    if (row[i] < row[i - 1]) fail_check(op, "ascending rows", "row", std::to_string(row[i]));
  }
  if (!dentropy.empty()) {
    check_size(op, "dentropy", dentropy, logits.rows);
    check_size(op, "entropy", entropy, logits.rows);
  }
  if (logits.rows > 0) do_logits_backward(logits, inverse_temperature, lse, entropy, dentropy, row, token, dlogprob);
}

void Backend::sample(std::span<int32_t> tokens, std::span<float> logprobs, Tensor logits,
                     std::span<const SampleRow> rows) {
  check_matrix("sample", "logits", logits);
  check_size("sample", "rows", rows, logits.rows);
  check_size("sample", "tokens", tokens, logits.rows);
  check_size("sample", "logprobs", logprobs, logits.rows);
  if (logits.rows > 0 && logits.cols == 0) fail_check("sample", "at least one column", "logits", "0");
  if (logits.rows > 0) do_sample(tokens, logprobs, logits, rows);
}

void Backend::top_logprobs(std::span<int32_t> tokens, std::span<float> logprobs, Tensor logits, int64_t row,
                           float inverse_temperature) {
  check_matrix("top_logprobs", "logits", logits);
  check_size("top_logprobs", "logprobs", logprobs, static_cast<int64_t>(tokens.size()));
  if (row < 0 || row >= logits.rows) {
    fail_check("top_logprobs", text("a row in [0, ", logits.rows, ")"), "row", std::to_string(row));
  }
  if (static_cast<int64_t>(tokens.size()) > logits.cols) {
    fail_check("top_logprobs", text("at most ", logits.cols, " elements"), "tokens",
               std::to_string(tokens.size()));
  }
  if (!tokens.empty()) do_top_logprobs(tokens, logprobs, logits, row, inverse_temperature);
}

}  // namespace ajet
