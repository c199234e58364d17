// One device. Model, engine and trainer are written once against this interface.
//
// Public methods check shapes and types and call the private do_* of the device. Every op is queued on the
// device's stream in call order (the CPU runs it at once). Batch invariance is part of the contract: a row's
// result never depends on the other rows, on their number, on the number of threads, or on whether keys come
// from a tree or from KV blocks. Gradients that sum over tokens use one fixed order.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "backend/batch_layout.h"
#include "backend/storage_format.h"
#include "tensor/buffer.h"
#include "tensor/tensor.h"

namespace ajet {

struct MemoryUse {
  size_t active_bytes = 0;
  size_t peak_bytes = 0;
  size_t limit_bytes = 0;   // 0: none
  size_t buffer_bytes = 0;  // of active_bytes, what allocate() gave; the rest is the ops' own
  size_t host_bytes = 0;    // of allocate_host(), beside the device's
};

// A place in a device's memory, as another process on the machine can map it.
struct DeviceMemoryHandle {
  uint64_t offset = 0;  // behind the beginning of what the handle stands for
  unsigned char bytes[64] = {};
};

// One sampled row: how to draw from its logits. See infer/request.h for ranges.
struct SampleRow {
  float temperature = 1.0F;  // 0: greedy (log-probs are then those of temperature 1)
  float top_p = 1.0F;
  float min_p = 0.0F;
  int32_t top_k = 0;  // 0: off
  uint64_t seed = 0;
  uint64_t offset = 0;  // counter: the token's index in its completion
};

// A drawn token, or one of a row's most likely, in the device's memory and in the host's.
struct TokenLogprob {
  int32_t token = -1;  // -1: the row's logits hold NaN or infinity
  float logprob = 0.0F;
};

struct AdamwArgs {
  float learning_rate;
  float beta1 = 0.9F;
  float beta2 = 0.999F;
  float epsilon = 1e-8F;
  float weight_decay = 0.0F;
  float gradient_scale = 1.0F;   // clip factor
  int64_t step = 1;              // 1 for the first update
  void* compute_copy = nullptr;  // where set: receives the new weights in Backend::compute_dtype()
};

// A parameter of an update, flat storage of f32.
struct AdamwParameter {
  float *w, *m, *v;
  const float* gradient;
  int64_t elements;
  AdamwArgs args;
};

// Work that comes again and again, of one owner: a number that tells apart what differs in more than the contents of
// host arrays (for a decode pass, its rows).
struct RecordingKey {
  const void* owner;
  int64_t number;
  auto operator<=>(const RecordingKey&) const = default;
};

// Bytes on their way from the device to the host.
class Readback {
 public:
  virtual ~Readback() = default;  // waits for them
  // Queues the copy behind all work so far.
  virtual void start(const void* device, size_t bytes) = 0;
  // Waits until what was started last is here. Valid until the next start().
  virtual const void* wait() = 0;
};

class Backend : public StorageFormat, public std::enable_shared_from_this<Backend> {
 public:
  virtual std::string name() const = 0;         // "cpu"
  virtual std::string description() const = 0;  // "cpu, 2 threads, avx512"
  virtual MemoryUse memory() const = 0;
  // What can still be allocated, roughly. The CPU without a limit: without end, as its memory is the whole machine's.
  virtual size_t available_bytes() const { return SIZE_MAX; }
  virtual void synchronize() = 0;

  // Zero-filled device memory. Throws out_of_memory with the size asked for.
  Buffer allocate(size_t bytes);
  virtual void upload(void* device, const void* host, size_t bytes) = 0;
  virtual void download(void* host, const void* device, size_t bytes) = 0;
  virtual void copy(void* device_to, const void* device_from, size_t bytes) = 0;
  virtual void zero(void* device, size_t bytes) = 0;
  // Of at most so many bytes at a time.
  virtual std::unique_ptr<Readback> make_readback(size_t max_bytes);
  // Runs work(), ops on this backend. A device may keep what they queue, to queue it faster when the key comes again;
  // what is computed is the same.
  virtual void run_recorded(const RecordingKey& key, const std::function<void()>& work);
  // Whether ops return before they are done, so that a host may prepare the next ones meanwhile.
  virtual bool is_asynchronous() const { return false; }

  // ---- the host's memory beside the device's ----------------------------------------------------------
  // Zero-filled host memory that ops take as they take the device's, at the speed of the bus between them, and that
  // adamw_update() is made for. Page-locked. Throws out_of_memory with the size asked for.
  virtual Buffer allocate_host(size_t bytes) { return allocate(bytes); }

  // ---- memory of other processes ----------------------------------------------------------------------
  // The device's name for all processes of the machine. "": its memory is the host's, and shared as such (the CPU).
  virtual std::string shared_device() const { return ""; }
  // What import_memory() of another process' backend, on the same device, takes to map memory that this one allocated.
  virtual DeviceMemoryHandle export_memory(const void* data) const;
  // `bytes` there; to be read only. Must be given back before the exporting process frees them.
  virtual Buffer import_memory(const DeviceMemoryHandle& handle, size_t bytes);

  // ---- groups of rows -------------------------------------------------------------------------------
  // In how many groups a pass of so many independent rows over so many bytes of weights runs best, each group by one
  // thread from the first op to the last. 1: the threads share every op.
  virtual int64_t row_groups(int64_t rows, size_t weight_bytes) const;
  // group(g) for every g in [0, groups), possibly at the same time. No group reads what another one writes.
  virtual void run_row_groups(int64_t groups, const std::function<void(int64_t)>& group);

  // ---- weight storage -------------------------------------------------------------------------------
  // Rows [first_row, first_row + count) of w (f32 or compute_dtype()) from / to row-major host floats [count, cols].
  virtual void write_weight_rows(const Weight& w, int64_t first_row, int64_t count, const float* host) = 0;
  virtual void read_weight_rows(float* host, const Weight& w, int64_t first_row, int64_t count) = 0;

  // ---- linear ---------------------------------------------------------------------------------------
  // y[m,n] = x[m,k] · w[n,k]ᵀ (+ bias[n] where bias.data is set) (+ residual[m,n], f32 and not y, where residual.data
  // is set). One order over k for every m.
  void linear(Tensor y, Tensor x, const Weight& w, Tensor bias = {}, Tensor residual = {});
  // dx[m,k] (+)= dy[m,n] · w[n,k]
  void linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate);
  // dw[n,k] += dy[m,n]ᵀ · x[m,k];  dbias[n] += Σ_m dy[m,n] where dbias.data is set
  void linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x);

  // ---- embedding ------------------------------------------------------------------------------------
  // y[m,:] = w[ids[m],:]. An id -1 - i stands for drawn[i].token; `drawn` is device memory. (Where that token is -1,
  // y[m,:] is any row: whoever reads the draw learns of it.)
  void embedding(Tensor y, std::span<const int32_t> ids, const Weight& w, std::span<const TokenLogprob> drawn = {});
  // dw[ids[m],:] += dy[m,:], rows in ascending m
  void embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy);

  // ---- elementwise and norms ------------------------------------------------------------------------
  // y = x / sqrt(mean(x²) + eps) * weight, over groups of `width` columns (width = cols for a layer norm,
  // head_dim for q/k norm); weight [width]. y may be x.
  void rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps);
  // dx (+)= ..., dweight += ...; x is the forward's input. dx may be dy when accumulate is false. Where y.data is set,
  // y becomes the forward's output once more, to the bit; it may be dy where dx is not.
  void rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight, int64_t width,
                        float eps, bool accumulate);
  // Rotates pairs (i, i + head_dim/2) of each head of x[m, heads*head_dim] in place by
  // positions[m] * inverse_frequencies[i]; inverse = true is the backward.
  void rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies, int64_t head_dim,
            bool inverse);
  // y = rope(rmsnorm(x)) of each head, forward: x, y[m, heads*head_dim]; weight [head_dim]. y may be x.
  void rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                    std::span<const float> inverse_frequencies);
  // y = silu(gate) * up
  void swiglu(Tensor y, Tensor gate, Tensor up);
  // dgate, dup from dy; may alias gate and up. y becomes the forward's output once more, to the bit; it may be dy.
  void swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up);
  // y += x
  void add(Tensor y, Tensor x);
  // y[i,:] = x[rows[i],:]
  void gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows);
  // y[rows[i],:] += x[i,:]; rows may repeat; ascending i
  void scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows);

  // ---- attention ------------------------------------------------------------------------------------
  // Queries q[m, heads*head_dim] attend over the keys and values k, v[context_tokens + m, kv_heads*head_dim] of the
  // tree. Writes o (same shape as q) and lse[m, heads] = log Σ exp(scale·q·k). A row's o and lse have the same bits
  // wherever the context ends.
  void attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                      const AttentionShape& shape);
  // dq = ...; dk, dv (+)= what these queries give every row, context included: with `accumulate` it is added to what
  // dk and dv hold, without they are overwritten (0 for rows that no query sees). One order of summation for a tree.
  void attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse, Tensor q, Tensor k,
                               Tensor v, const TreeLayout& tree, const AttentionShape& shape, bool accumulate);

  // Stores the new tokens' k, v[m, kv_heads*head_dim] of one layer into their sequences' blocks.
  void kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout);
  // Copies the first `tokens` positions of a block, all layers, to another block (copy on write).
  void kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens);
  // As attention_tree, keys from the blocks (the new tokens' own keys have been written). Bit-equal to it.
  void attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                       const AttentionShape& shape);

  // ---- LM head --------------------------------------------------------------------------------------
  // The caller computes logits for a bounded number of rows with linear(), then:
  // lse[r] = log Σ_v exp(logits[r,v] * inverse_temperature[r]); entropy[r] of that softmax (skipped where null).
  // The same function serves sampler and trainer.
  void log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                   std::span<const float> inverse_temperature);
  // out[t] = logits[row[t], token[t]] * inverse_temperature[row[t]] - lse[row[t]]
  void gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                       std::span<const float> lse, std::span<const int32_t> row, std::span<const int32_t> token);
  // In place: logits[r,v] becomes d loss / d logits[r,v] =
  //   inverse_temperature[r] * ( Σ_{t: row[t]=r} dlogprob[t] * (1[v = token[t]] - p[r,v])
  //                              - dentropy[r] * p[r,v] * (log p[r,v] + entropy[r]) )
  // row ascending; dentropy may be empty.
  void logits_backward(Tensor logits, std::span<const float> inverse_temperature, std::span<const float> lse,
                       std::span<const float> entropy, std::span<const float> dentropy, std::span<const int32_t> row,
                       std::span<const int32_t> token, std::span<const float> dlogprob);
  // Draws one token a row, with its log-prob (by log_sum_exp and gather_logprobs at the row's temperature), into device
  // memory: drawn[rows]. logits are left unchanged. Filters in the order top_k, top_p, min_p; ties keep the lower id.
  void sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows);
  // The top.size() most likely tokens of a row with their log-probs, most likely first, lower id first on ties, into
  // device memory. Of no meaning where sample() says that the row is not finite.
  void top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature);

  // ---- optimizer, over flat storage (elements a multiple of 16, f32) ---------------------------------
  // Σ x², in double, over a fixed partition.
  virtual double sum_squares(const float* x, int64_t elements) = 0;
  // AdamW (Loshchilov & Hutter 2019): m, v biased moments, bias-corrected step, decoupled decay.
  virtual void adamw(float* w, float* m, float* v, const float* gradient, int64_t elements, const AdamwArgs& args) = 0;
  // adamw of each parameter, with its bits. What lies in memory of allocate_host() goes through the device in chunks:
  // one comes in while another is updated and a third goes out.
  virtual void adamw_update(std::span<const AdamwParameter> parameters);
  // y = a * x + y
  virtual void axpy(float* y, float a, const float* x, int64_t elements) = 0;

 protected:
  friend class Buffer;
  virtual void* do_allocate(size_t bytes) = 0;
  virtual void do_free(void* data, size_t bytes) noexcept = 0;
  size_t buffer_bytes() const { return buffer_bytes_; }

 private:
  size_t buffer_bytes_ = 0;  // of live Buffers, which come and go on one thread

  virtual void do_linear(Tensor y, Tensor x, const Weight& w, Tensor bias, Tensor residual) = 0;
  virtual void do_linear_dx(Tensor dx, Tensor dy, const Weight& w, bool accumulate) = 0;
  virtual void do_linear_dw(const Weight& dw, Tensor dbias, Tensor dy, Tensor x) = 0;
  virtual void do_embedding(Tensor y, std::span<const int32_t> ids, const Weight& w,
                            std::span<const TokenLogprob> drawn) = 0;
  virtual void do_embedding_dw(const Weight& dw, std::span<const int32_t> ids, Tensor dy) = 0;
  virtual void do_rmsnorm(Tensor y, Tensor x, Tensor weight, int64_t width, float eps) = 0;
  virtual void do_rmsnorm_backward(Tensor dx, Tensor dweight, Tensor y, Tensor dy, Tensor x, Tensor weight,
                                   int64_t width, float eps, bool accumulate) = 0;
  virtual void do_rope(Tensor x, std::span<const int32_t> positions, std::span<const float> inverse_frequencies,
                       int64_t head_dim, bool inverse) = 0;
  virtual void do_rmsnorm_rope(Tensor y, Tensor x, Tensor weight, float eps, std::span<const int32_t> positions,
                               std::span<const float> inverse_frequencies) = 0;
  virtual void do_swiglu(Tensor y, Tensor gate, Tensor up) = 0;
  virtual void do_swiglu_backward(Tensor dgate, Tensor dup, Tensor y, Tensor dy, Tensor gate, Tensor up) = 0;
  virtual void do_add(Tensor y, Tensor x) = 0;
  virtual void do_gather_rows(Tensor y, Tensor x, std::span<const int32_t> rows) = 0;
  virtual void do_scatter_add_rows(Tensor y, Tensor x, std::span<const int32_t> rows) = 0;
  virtual void do_attention_tree(Tensor o, Tensor lse, Tensor q, Tensor k, Tensor v, const TreeLayout& tree,
                                 const AttentionShape& shape) = 0;
  virtual void do_attention_tree_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor o, Tensor lse, Tensor q,
                                          Tensor k, Tensor v, const TreeLayout& tree, const AttentionShape& shape,
                                          bool accumulate) = 0;
  virtual void do_kv_write(const KvCache& cache, int64_t layer, Tensor k, Tensor v, const PagedLayout& layout) = 0;
  virtual void do_kv_copy_block(const KvCache& cache, int32_t to, int32_t from, int64_t tokens) = 0;
  virtual void do_attention_paged(Tensor o, Tensor q, const KvCache& cache, int64_t layer, const PagedLayout& layout,
                                  const AttentionShape& shape) = 0;
  virtual void do_log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                              std::span<const float> inverse_temperature) = 0;
  virtual void do_gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                                  std::span<const float> lse, std::span<const int32_t> row,
                                  std::span<const int32_t> token) = 0;
  virtual void do_logits_backward(Tensor logits, std::span<const float> inverse_temperature, std::span<const float> lse,
                                  std::span<const float> entropy, std::span<const float> dentropy,
                                  std::span<const int32_t> row, std::span<const int32_t> token,
                                  std::span<const float> dlogprob) = 0;
  virtual void do_sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows) = 0;
  virtual void do_top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature) = 0;
};

// threads 0: one per core. isa: "" picks the best the machine has; "portable", "avx2", "avx512" force one
// (invalid_argument where the machine lacks it). memory_limit_bytes 0: as much as the system gives.
std::shared_ptr<Backend> make_cpu_backend(int threads = 0, const std::string& isa = "", size_t memory_limit_bytes = 0);

}  // namespace ajet
