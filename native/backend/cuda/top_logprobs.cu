// The most likely tokens of a row.
#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/selection.cuh"

namespace ajet::cuda {
namespace {

constexpr int top_threads = 512;

struct LogitRow {
  const float* logits;

  AJET_DEVICE uint32_t key(int64_t v) const { return ordered_bits(logits[v]); }
  AJET_DEVICE uint64_t mass(uint32_t) const { return 0; }
};

// found[0 .. count): the tokens that come before or at `last` in the order, by ascending id.
AJET_DEVICE void collect(int32_t* found, const LogitRow& row, int64_t vocabulary, const Selected& last,
                         uint32_t* scratch) {
  const int64_t own = (vocabulary + top_threads - 1) / top_threads, first = static_cast<int>(threadIdx.x) * own;
  const int64_t end = min_of(vocabulary, first + own);
  uint32_t above = 0, ties = 0;
  for (int64_t v = first; v < end; ++v) {
    const uint32_t key = row.key(v);
    above += key > last.key ? 1U : 0U;
    ties += key == last.key ? 1U : 0U;
  }
  uint32_t next = block_exclusive_sum(above, scratch), tie = block_exclusive_sum(ties, scratch);
  for (int64_t v = first; v < end; ++v) {
    const uint32_t key = row.key(v);
    const bool is_kept_tie = key == last.key && tie <= last.tie;
    // Kept ties before v take places too.
    if (key > last.key || is_kept_tie) {
      const uint32_t kept_ties = min_of(tie, static_cast<uint32_t>(last.tie) + 1);
      found[next + kept_ties] = static_cast<int32_t>(v);
    }
    next += key > last.key ? 1U : 0U;
    tie += key == last.key ? 1U : 0U;
  }
}

__global__ void __launch_bounds__(top_threads)
    top_logprobs_kernel(TokenLogprob* top, int32_t* found, const float* logits, int64_t vocabulary, int64_t count,
                        const float* inverse_temperature, const float* lse) {
  __shared__ SelectionMemory memory;
  __shared__ uint32_t scratch[top_threads / warp_lanes];
  const LogitRow row{logits};
  const Selected last = select(row, vocabulary, true, static_cast<uint64_t>(count - 1), memory);
  collect(found, row, vocabulary, last, scratch);
  __syncthreads();
  for (int64_t i = threadIdx.x; i < count; i += top_threads) {
    const int32_t token = found[i];
    const uint32_t key = row.key(token);
    int64_t place = 0;
    for (int64_t other = 0; other < count; ++other) {
      const uint32_t other_key = row.key(found[other]);
      place += other_key > key || (other_key == key && other < i) ? 1 : 0;
    }
    top[place] = {token, token_logprob(logits[token], *inverse_temperature, *lse)};
  }
}

}  // namespace

void CudaBackend::do_top_logprobs(std::span<TokenLogprob> top, Tensor logits, int64_t row, float inverse_temperature) {
  const Tensor one = logits.slice_rows(row, 1);
  const float* factor = arguments_.send(std::span<const float>(&inverse_temperature, 1));
  const Scratch lse = scratch(sizeof(float)), found = scratch(top.size() * sizeof(int32_t));
  log_sum_exp_rows(lse.as<float>(), nullptr, one, factor);
  launch(stream_, {1, top_threads}, top_logprobs_kernel, top.data(), found.as<int32_t>(), one.f32(), one.cols,
         static_cast<int64_t>(top.size()), factor, lse.as<float>());
}

}  // namespace ajet::cuda
