// One NVIDIA card: bf16 weights and activations, fp32 accumulation, residual stream, statistics and master weights; or
// everything in fp32 (CudaOptions::compute_dtype). Each op family has its own .cu, forward beside backward.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/argument_ring.h"
#include "backend/cuda/attention_plan.h"
#include "backend/cuda/cublaslt.h"
#include "backend/cuda/cuda_storage.h"
#include "backend/cuda/device_arena.h"
#include "backend/cuda/graph_recorder.h"
#include "backend/cuda/host_memory.h"
#include "backend/cuda/host_staging.h"
#include "backend/cuda/library.h"
#include "backend/cuda/products.h"
#include "backend/cuda/stream.h"
#include "backend/cuda/transfers.h"

namespace ajet::cuda {

class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(const CudaOptions& options);
  ~CudaBackend() override;

  // cuda_backend.cpp
  std::string name() const override;
  std::string description() const override;
  DType compute_dtype() const override { return options_.compute_dtype; }
  bool has_own_memory() const override { return true; }
  MemoryUse memory() const override;
  size_t available_bytes() const override { return arena_.available_bytes(); }
  void synchronize() override { stream_.synchronize(); }
  void upload(void* device, const void* host, size_t bytes) override;
  void download(void* host, const void* device, size_t bytes) override;
  void copy(void* device_to, const void* device_from, size_t bytes) override;
  void zero(void* device, size_t bytes) override;
  std::unique_ptr<Readback> make_readback(size_t max_bytes) override;
  void run_recorded(const RecordingKey& key, const std::function<void()>& work) override { graphs_.run(key, work); }
  bool is_asynchronous() const override { return true; }

  // memory_sharing.cpp
  std::string shared_device() const override { return device_.pci_bus_id; }
  DeviceMemoryHandle export_memory(const void* data) const override;
  Buffer import_memory(const DeviceMemoryHandle& handle, size_t bytes) override;

  // weights.cu
  int64_t weight_elements(int64_t rows, int64_t cols) const override { return rows * weight_stride(cols); }
  void write_weight_rows(const Weight& w, int64_t first_row, int64_t count, const float* host) override;
  void read_weight_rows(float* host, const Weight& w, int64_t first_row, int64_t count) override;

  size_t kv_cache_bytes(int64_t blocks, int64_t layers, int64_t kv_heads, int64_t head_dim) const override {
    return kv_bytes(blocks, layers, kv_heads, head_dim, compute_dtype());
  }

  // optimizer.cu
  double sum_squares(const float* x, int64_t elements) override;
  void adamw(float* w, float* m, float* v, const float* gradient, int64_t elements, const AdamwArgs& args) override;
  void axpy(float* y, float a, const float* x, int64_t elements) override;

  // optimizer_offload.cpp
  Buffer allocate_host(size_t bytes) override;
  void adamw_update(std::span<const AdamwParameter> parameters) override;

 protected:
  void* do_allocate(size_t bytes) override;
  void do_free(void* data, size_t bytes) noexcept override;

 private:
  // linear.cu
  void do_linear(Tensor y, Tensor x, const Weight& w, Tensor bias, Tensor residual) override;
  // linear_gradients.cu
  void do_linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) override;
  void do_linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) override;
  // sums[c] += Σ x[:, c], in a fixed order
  void add_column_sums(Tensor sums, Tensor x);
  // embedding.cu
  void do_embedding(Tensor y, std::span<const int32_t> ids, const Weight& w,
                    std::span<const TokenLogprob> drawn) override;
  void do_embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) override;
  // norms.cu, norms_backward.cu
  void do_rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) override;
  void do_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight, int64_t width,
                           float eps, bool accumulate) override;
  // rope.cu
  void do_rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
               int64_t head_dim, bool inverse) override;
  void do_rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                       std::span<const float> inverse_frequencies) override;
  void extend_rope_table(std::span<const float> inverse_frequencies, int64_t positions);
  // swiglu.cu
  void do_swiglu(Tensor y, Tensor gate, Tensor up) override;
  void do_swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up) override;
  // rows.cu
  void do_add(Tensor y, Tensor x) override;
  void do_gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) override;
  // y[i,:] = x[rows[i],:], a row -1 - j being drawn[j].token
  void gather_rows_or_drawn(Tensor y, Tensor x, std::span<const int32_t> rows, std::span<const TokenLogprob> drawn);
  void do_scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) override;
  // y[rows[i],:] += x[i,:], a row's terms in ascending i
  void add_rows(Tensor y, Tensor x, std::span<const int32_t> rows);
  // attention_tree.cu
  void do_attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                         const AttentionShape& shape) override;
  const TreePlan& tree_plan(const TreeLayout& tree, const AttentionShape& shape, int64_t queries);
  // attention_tree_backward.cu
  void do_attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse, Tensor q,
                                  Tensor k, Tensor v, const TreeLayout& tree, const AttentionShape& shape,
                                  bool accumulate) override;
  // attention_paged.cu
  void do_kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) override;
  void do_kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) override;
  void do_attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                          const AttentionShape& shape) override;
  // head.cu, head_backward.cu
  void do_log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                      std::span<const float> inverse_temperature) override;
  void do_gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                          std::span<const float> lse, std::span<const int32_t> row,
                          std::span<const int32_t> token) override;
  void do_logits_backward(Tensor logits, std::span<const float> inverse_temperature, std::span<const float> lse,
                          std::span<const float> entropy, std::span<const float> dentropy, std::span<const int32_t> row,
                          std::span<const int32_t> token, std::span<const float> dlogprob) override;
  // On the device; entropy may be null.
  void log_sum_exp_rows(float* lse, float* entropy, Tensor logits, const float* inverse_temperature);
  // optimizer_offload.cpp
  void adamw_staged(const AdamwParameter& p);
  // sample.cu, top_logprobs.cu
  void do_sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows) override;
  void do_top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature) override;

  // Device memory for one op, its contents undefined. It may be freed as soon as the op's kernels are launched.
  class Scratch {
   public:
    Scratch(CudaBackend& backend, size_t bytes)
        : backend_(backend), data_(backend.graphs_.take_scratch(bytes)), recorded_(data_ != nullptr), bytes_(bytes) {
      if (!recorded_) data_ = backend_.arena_.allocate(bytes);
    }
    ~Scratch() { recorded_ ? backend_.graphs_.give_scratch_back() : backend_.arena_.free(data_, bytes_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    template <typename T>
    T* as() const {
      return static_cast<T*>(data_);
    }

   private:
    CudaBackend& backend_;
    void* data_;
    bool recorded_;
    size_t bytes_;
  };
  Scratch scratch(size_t bytes) { return Scratch(*this, bytes); }

  // operands.cu: a tensor as the products read it; copied where it is f32 or not aligned.
  class PackedOperand {
   public:
    PackedOperand(CudaBackend& backend, const Tensor& x);
    Operand operand(int64_t outer) const { return {data_, stride_, outer}; }

   private:
    const bf16* data_;
    int64_t stride_;
    std::optional<Scratch> copy_;
  };

  CudaOptions options_;
  CudaDevice device_;
  Stream stream_;
  DeviceArena arena_;
  HostMemory host_memory_;
  std::optional<HostStaging> staging_;  // since the first allocate_host()
  Transfers transfers_;
  ArgumentRing arguments_;
  GraphRecorder graphs_;
  TreePlan tree_plan_{arena_, transfers_};
  PagedPlan paged_plan_;

  ProductUnit product_unit_;
  CublasLt cublaslt_;
  uint32_t* split_arrivals_ = nullptr;  // see products.h

  // cos and sin of position * frequency, as float2[positions, half]; see rope.cu.
  std::vector<float> rope_frequencies_;
  int64_t rope_positions_ = 0;
  float* rope_table_ = nullptr;
  size_t rope_table_bytes_ = 0;
};

// Throws device where the card cannot be used.
std::shared_ptr<Backend> make_cuda_backend(const CudaOptions& options);

}  // namespace ajet::cuda
