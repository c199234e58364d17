// The CPU: fp32, packed panels, one kernel table chosen at run time. Each op family has its own .cpp.
#pragma once

#include <atomic>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/rope_table.h"
#include "base/thread_pool.h"

namespace ajet::cpu {

class CpuBackend final : public Backend {
 public:
  CpuBackend(int threads, const std::string& isa, size_t memory_limit_bytes);
  ~CpuBackend() override;

  // cpu_backend.cpp
  std::string name() const override { return "cpu"; }
  std::string description() const override;
  MemoryUse memory() const override;
  size_t available_bytes() const override;
  void synchronize() override {}
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void copy(void* device_to, const void* device_from, size_t bytes) override;
  void zero(void* device, size_t bytes) override;

  // row_groups.cpp
  int64_t row_groups(int64_t rows, size_t weight_bytes) const override;
  void run_row_groups(int64_t groups, const std::function<void(int64_t)>& group) override;

  // panels.cpp
  int64_t weight_elements(int64_t rows, int64_t cols) const override;
  void write_weight_rows(const Weight& w, int64_t first_row, int64_t count, const float* host) override;
  void read_weight_rows(float* host, const Weight& w, int64_t first_row, int64_t count) override;

  // attention_paged.cpp
  size_t kv_cache_bytes(int64_t blocks, int64_t layers, int64_t kv_heads, int64_t head_dim) const override;

  // optimizer.cpp
  double sum_squares(const float* x, int64_t elements) override;
  void adamw(float* w, float* m, float* v, const float* gradient, int64_t elements, const AdamwArgs& args) override;
  void axpy(float* y, float a, const float* x, int64_t elements) override;

 protected:
  void* do_allocate(size_t bytes) override;
  void do_free(void* data, size_t bytes) noexcept override;

 private:
  // linear.cpp
  void do_linear(Tensor y, Tensor x, const Weight& w, Tensor bias, Tensor residual) override;
  // linear_dx.cpp
  void do_linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) override;
  void linear_dx_by_weight(Tensor dx, Tensor dy, const Weight& w, bool accumulate);
  void linear_dx_by_rows(Tensor dx, Tensor dy, const Weight& w, bool accumulate);
  // linear_dw.cpp
  void do_linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) override;
  // embedding.cpp
  void do_embedding(Tensor y, std::span<const int32_t> ids, const Weight& w,
                    std::span<const TokenLogprob> drawn) override;
  void do_embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) override;
  // norms.cpp
  void do_rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) override;
  void do_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight, int64_t width,
                           float eps, bool accumulate) override;
  // rope.cpp
  void do_rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
               int64_t head_dim, bool inverse) override;
  void do_rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                       std::span<const float> inverse_frequencies) override;
  // swiglu.cpp
  void do_swiglu(Tensor y, Tensor gate, Tensor up) override;
  void do_swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up) override;
  // rows.cpp
  void do_add(Tensor y, Tensor x) override;
  void do_gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) override;
  void do_scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) override;
  // attention_tree.cpp
  void do_attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                         const AttentionShape& shape) override;
  // attention_tree_backward.cpp
  void do_attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse, Tensor q,
                                  Tensor k, Tensor v, const TreeLayout& tree, const AttentionShape& shape,
                                  bool accumulate) override;
  // attention_paged.cpp
  void do_kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) override;
  void do_kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) override;
  void do_attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                          const AttentionShape& shape) override;
  // head.cpp
  void do_log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                      std::span<const float> inverse_temperature) override;
  void do_gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                          std::span<const float> lse, std::span<const int32_t> row,
                          std::span<const int32_t> token) override;
  void do_logits_backward(Tensor logits, std::span<const float> inverse_temperature, std::span<const float> lse,
                          std::span<const float> entropy, std::span<const float> dentropy, std::span<const int32_t> row,
                          std::span<const int32_t> token, std::span<const float> dlogprob) override;
  // sample.cpp
  void do_sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows) override;
  void do_top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature) override;

  // What ops keep between calls. Each group of rows has its own, since groups run at the same time.
  struct OpState {
    RopeTable rope_table;
    float* scratch = nullptr;
    size_t scratch_bytes = 0;
  };
  // row_groups.cpp
  OpState& op_state();
  // Threads that share an op: one inside a group of rows.
  int op_threads() const;

  // Scratch of at least `floats` floats, 64-byte aligned, contents undefined, valid until the next call. Ops of one
  // backend (or group of rows) are queued by one thread at a time, and tasks of a parallel_for only use what their op
  // took before it.
  float* scratch(int64_t floats);

  ThreadPool pool_;
  const Kernels& k_;
  std::vector<OpState> op_states_;
  size_t memory_limit_bytes_;  // 0: none
  std::atomic<size_t> active_bytes_{0};
  std::atomic<size_t> peak_bytes_{0};
};

}  // namespace ajet::cpu
