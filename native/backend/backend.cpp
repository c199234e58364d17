// The public ops: checks first (types, shapes, strides, ids), so that the devices' do_* may rely on them.
#include "backend/backend.h"

#include <string>
#include <vector>

#include "backend/checks.h"

namespace ajet {

using namespace checks;

Buffer::~Buffer() {
  if (backend_ == nullptr || data_ == nullptr) return;
  backend_->buffer_bytes_ -= bytes_;
  backend_->do_free(data_, bytes_);
}

Buffer Backend::allocate(size_t bytes) {
  Buffer buffer(shared_from_this(), do_allocate(bytes), bytes);
  buffer_bytes_ += bytes;
  return buffer;
}

DeviceMemoryHandle Backend::export_memory(const void*) const {
  fail(ErrorCode::internal, "[export_memory] The memory of " + name() + " is shared as the host's");
}

Buffer Backend::import_memory(const DeviceMemoryHandle&, size_t) {
  fail(ErrorCode::internal, "[import_memory] The memory of " + name() + " is shared as the host's");
}

// ---- readback -----------------------------------------------------------------------------------------

namespace {

// Of a backend whose work is done when it is called.
class SynchronousReadback final : public Readback {
 public:
  SynchronousReadback(Backend& backend, size_t max_bytes) : backend_(backend), bytes_(max_bytes) {}
  void start(const void* device, size_t bytes) override { backend_.download(bytes_.data(), device, bytes); }
  const void* wait() override { return bytes_.data(); }

 private:
  Backend& backend_;
  std::vector<std::byte> bytes_;
};

}  // namespace

void Backend::run_recorded(const RecordingKey&, const std::function<void()>& work) { work(); }

std::unique_ptr<Readback> Backend::make_readback(size_t max_bytes) {
  return std::make_unique<SynchronousReadback>(*this, max_bytes);
}

// ---- groups of rows ------------------------------------------------------------------------------------

int64_t Backend::row_groups(int64_t, size_t) const { return 1; }

void Backend::run_row_groups(int64_t groups, const std::function<void(int64_t)>& group) {
  for (int64_t g = 0; g < groups; ++g) group(g);
}

// ---- linear -------------------------------------------------------------------------------------------

void Backend::linear(Tensor y, Tensor x, const Weight& w, Tensor bias, Tensor residual) {
  check_matrix("linear", "x", x, compute_dtype());
  check_weight("linear", "w", w, w.rows, x.cols, compute_dtype());
  check_matrix("linear", "y", y, x.rows, w.rows, compute_dtype());
  if (bias.data != nullptr) check_vector("linear", "bias", bias, w.rows);
  if (residual.data != nullptr) {
    check_matrix("linear", "residual", residual, x.rows, w.rows);
    if (residual.data == y.data) fail_check("linear", "other memory than y's", "residual", "y");
  }
  if (y.rows > 0 && y.cols > 0) do_linear(y, x, w, bias, residual);
}

void Backend::linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) {
  check_matrix("linear_dx", "dy", dy, compute_dtype());
  check_weight("linear_dx", "w", w, dy.cols, w.cols, compute_dtype());
  check_matrix("linear_dx", "dx", dx, dy.rows, w.cols, compute_dtype());
  if (dx.rows > 0 && dx.cols > 0) do_linear_dx(dx, dy, w, accumulate);
}

void Backend::linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) {
  check_matrix("linear_dw", "dy", dy, compute_dtype());
  check_matrix("linear_dw", "x", x, dy.rows, x.cols, compute_dtype());
  check_weight("linear_dw", "dw", dw, dy.cols, x.cols);
  if (dbias.data != nullptr) check_vector("linear_dw", "dbias", dbias, dy.cols);
  if (dy.rows > 0 && dy.cols > 0) do_linear_dw(dw, dbias, dy, x);
}

// ---- embedding ----------------------------------------------------------------------------------------

void Backend::embedding(Tensor y, std::span<const int32_t> ids, const Weight& w, std::span<const TokenLogprob> drawn) {
  check_weight("embedding", "w", w, w.rows, w.cols, compute_dtype());
  check_matrix("embedding", "y", y, static_cast<int64_t>(ids.size()), w.cols, compute_dtype());
  check_ids("embedding", "ids", ids, w.rows, -static_cast<int64_t>(drawn.size()));
  if (!ids.empty()) do_embedding(y, ids, w, drawn);
}

void Backend::embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) {
  check_weight("embedding_dw", "dw", dw, dw.rows, dw.cols);
  check_matrix("embedding_dw", "dy", dy, static_cast<int64_t>(ids.size()), dw.cols, compute_dtype());
  check_ids("embedding_dw", "ids", ids, dw.rows);
  if (!ids.empty()) do_embedding_dw(dw, ids, dy);
}

// ---- elementwise and norms ----------------------------------------------------------------------------

void Backend::rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) {
  check_norm("rmsnorm", x, weight, width, eps, compute_dtype());
  check_matrix("rmsnorm", "y", y, x.rows, x.cols, compute_dtype());
  if (x.rows > 0) do_rmsnorm(y, x, weight, width, eps);
}

void Backend::rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight, int64_t width,
                               float eps, bool accumulate) {
  check_norm("rmsnorm_backward", x, weight, width, eps, compute_dtype());
  check_matrix("rmsnorm_backward", "dx", dx, x.rows, x.cols, compute_dtype());
  check_matrix("rmsnorm_backward", "dy", dy, x.rows, x.cols, compute_dtype());
  check_vector("rmsnorm_backward", "dweight", dweight, width);
  if (y.data != nullptr) {
    check_matrix("rmsnorm_backward", "y", y, x.rows, x.cols, compute_dtype());
    if (y.data == dx.data) fail_check("rmsnorm_backward", "other memory than dx's", "y", "dx");
  }
  if (x.rows > 0) do_rmsnorm_backward(dx, dweight, y, dy, x, weight, width, eps, accumulate);
}

void Backend::rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
                   int64_t head_dim, bool inverse) {
  check_matrix("rope", "x", x, compute_dtype());
  check_multiple("rope", "head_dim", x.cols, head_dim);
  if (head_dim % 2 != 0) fail_check("rope", "an even number", "head_dim", std::to_string(head_dim));
  check_size("rope", "positions", positions, x.rows);
  check_size("rope", "inverse_frequencies", inverse_frequencies, head_dim / 2);
  if (x.rows > 0) do_rope(x, positions, inverse_frequencies, head_dim, inverse);
}

void Backend::rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                           std::span<const float> inverse_frequencies) {
  check_norm("rmsnorm_rope", x, weight, weight.cols, eps, compute_dtype());
  check_matrix("rmsnorm_rope", "y", y, x.rows, x.cols, compute_dtype());
  if (weight.cols % 2 != 0)
    fail_check("rmsnorm_rope", "an even number of columns", "weight", std::to_string(weight.cols));
  check_size("rmsnorm_rope", "positions", positions, x.rows);
  check_size("rmsnorm_rope", "inverse_frequencies", inverse_frequencies, weight.cols / 2);
  if (x.rows > 0) do_rmsnorm_rope(y, x, weight, eps, positions, inverse_frequencies);
}

void Backend::swiglu(Tensor y, Tensor gate, Tensor up) {
  check_matrix("swiglu", "gate", gate, compute_dtype());
  check_matrix("swiglu", "up", up, gate.rows, gate.cols, compute_dtype());
  check_matrix("swiglu", "y", y, gate.rows, gate.cols, compute_dtype());
  if (y.rows > 0) do_swiglu(y, gate, up);
}

void Backend::swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up) {
  check_matrix("swiglu_backward", "dy", dy, compute_dtype());
  check_matrix("swiglu_backward", "y", y, dy.rows, dy.cols, compute_dtype());
  check_matrix("swiglu_backward", "dgate", dgate, dy.rows, dy.cols, compute_dtype());
  check_matrix("swiglu_backward", "dup", dup, dy.rows, dy.cols, compute_dtype());
  check_matrix("swiglu_backward", "gate", gate, dy.rows, dy.cols, compute_dtype());
  check_matrix("swiglu_backward", "up", up, dy.rows, dy.cols, compute_dtype());
  if (dy.rows > 0) do_swiglu_backward(dgate, dup, y, dy, gate, up);
}

void Backend::add(Tensor y, Tensor x) {
  check_matrix("add", "y", y, compute_dtype());
  check_matrix("add", "x", x, y.rows, y.cols, compute_dtype());
  if (y.rows > 0) do_add(y, x);
}

void Backend::gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  check_matrix("gather_rows", "x", x, compute_dtype());
  check_matrix("gather_rows", "y", y, static_cast<int64_t>(rows.size()), x.cols, compute_dtype());
  check_ids("gather_rows", "rows", rows, x.rows);
  if (!rows.empty()) do_gather_rows(y, x, rows);
}

void Backend::scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) {
  check_matrix("scatter_add_rows", "y", y, compute_dtype());
  check_matrix("scatter_add_rows", "x", x, static_cast<int64_t>(rows.size()), y.cols, compute_dtype());
  check_ids("scatter_add_rows", "rows", rows, y.rows);
  if (!rows.empty()) do_scatter_add_rows(y, x, rows);
}

// ---- attention ----------------------------------------------------------------------------------------

void Backend::attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                             const AttentionShape& shape) {
  constexpr const char* op = "attention_tree";
  check_attention_shape(op, shape);
  check_tree(op, tree, k.rows);
  check_matrix(op, "k", k, k.rows, shape.kv_heads * shape.head_dim, compute_dtype());
  check_matrix(op, "v", v, k.rows, k.cols, compute_dtype());
  check_matrix(op, "q", q, k.rows - tree.context_tokens, shape.heads * shape.head_dim, compute_dtype());
  check_matrix(op, "o", o, q.rows, q.cols, compute_dtype());
  check_matrix(op, "lse", lse, q.rows, shape.heads);
  if (q.rows > 0) do_attention_tree(o, lse, q, k, v, tree, shape);
}

void Backend::attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse, Tensor q,
                                      Tensor k, Tensor v, const TreeLayout& tree, const AttentionShape& shape,
                                      bool accumulate) {
  constexpr const char* op = "attention_tree_backward";
  check_attention_shape(op, shape);
  check_tree(op, tree, k.rows);
  const int64_t query_cols = shape.heads * shape.head_dim;
  const int64_t key_cols = shape.kv_heads * shape.head_dim;
  check_matrix(op, "k", k, k.rows, key_cols, compute_dtype());
  check_matrix(op, "v", v, k.rows, key_cols, compute_dtype());
  check_matrix(op, "q", q, k.rows - tree.context_tokens, query_cols, compute_dtype());
  check_matrix(op, "o", o, q.rows, query_cols, compute_dtype());
  check_matrix(op, "dout", dout, q.rows, query_cols, compute_dtype());
  check_matrix(op, "dq", dq, q.rows, query_cols, compute_dtype());
  check_matrix(op, "dk", dk, k.rows, key_cols, compute_dtype());
  check_matrix(op, "dv", dv, k.rows, key_cols, compute_dtype());
  check_matrix(op, "lse", lse, q.rows, shape.heads);
  if (q.rows > 0) do_attention_tree_backward(dq, dk, dv, dout, o, lse, q, k, v, tree, shape, accumulate);
}

void Backend::kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) {
  check_cache("kv_write", cache, layer, cache.kv_heads, cache.head_dim, compute_dtype());
  check_matrix("kv_write", "k", k, k.rows, cache.kv_heads * cache.head_dim, compute_dtype());
  check_matrix("kv_write", "v", v, k.rows, cache.kv_heads * cache.head_dim, compute_dtype());
  check_paged("kv_write", layout, k.rows, cache.blocks);
  if (k.rows > 0) do_kv_write(cache, layer, k, v, layout);
}

void Backend::kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) {
  check_cache("kv_copy_block", cache, 0, cache.kv_heads, cache.head_dim, compute_dtype());
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
  check_cache(op, cache, layer, shape.kv_heads, shape.head_dim, compute_dtype());
  check_matrix(op, "q", q, q.rows, shape.heads * shape.head_dim, compute_dtype());
  check_matrix(op, "o", o, q.rows, q.cols, compute_dtype());
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

void Backend::sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows) {
  check_matrix("sample", "logits", logits);
  check_size("sample", "rows", rows, logits.rows);
  check_size("sample", "drawn", drawn, logits.rows);
  if (logits.rows > 0 && logits.cols == 0) fail_check("sample", "at least one column", "logits", "0");
  if (logits.rows > 0) do_sample(drawn, logits, rows);
}

void Backend::top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature) {
  check_matrix("top_logprobs", "logits", logits);
  if (row < 0 || row >= logits.rows) {
    fail_check("top_logprobs", text("a row in [0, ", logits.rows, ")"), "row", std::to_string(row));
  }
  if (static_cast<int64_t>(top.size()) > logits.cols) {
    fail_check("top_logprobs", text("at most ", logits.cols, " elements"), "top", std::to_string(top.size()));
  }
  if (!top.empty()) do_top_logprobs(top, logits, row, inverse_temperature);
}

// ---- optimizer ----------------------------------------------------------------------------------------

void Backend::adamw_update(std::span<const AdamwParameter> parameters) {
  for (const AdamwParameter& p : parameters) adamw(p.w, p.m, p.v, p.gradient, p.elements, p.args);
}

}  // namespace ajet
