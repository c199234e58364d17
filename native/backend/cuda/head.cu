// Log-sum-exp and entropy of rows of logits, and log-probs of tokens. z = logit * inverse temperature; per chunk of the
// vocabulary (device/vocabulary.cuh) its maximum and its sums relative to that, then the chunks of a row together.
#include <vector>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/vocabulary.cuh"

namespace ajet::cuda {
namespace {

struct ChunkSums {
  float max;       // of z
  float sum;       // Σ exp(z - max)
  float weighted;  // Σ exp(z - max) (z - max)
};

__global__ void __launch_bounds__(chunk_threads)
    sum_chunks_kernel(ChunkSums* sums, Rows<const float> logits, int64_t vocabulary, int64_t chunks,
                      const float* inverse_temperature, bool with_entropy) {
  __shared__ float scratch[chunk_threads / warp_lanes];
  const ChunkPosition at = chunk_position(chunks);
  const float factor = inverse_temperature[at.row];
  float z[chunk_vectors][vector_width], highest = -INFINITY;
#pragma unroll
  for (int i = 0; i < chunk_vectors; ++i) {
    const int64_t col = chunk_column(at.chunk, i);
    load8(z[i], logits.row(at.row) + col, vocabulary - col, logits.vectorized);
#pragma unroll
    for (int j = 0; j < vector_width; ++j) {
      z[i][j] = col + j < vocabulary ? z[i][j] * factor : -INFINITY;
      highest = max_of(highest, z[i][j]);
    }
  }
  highest = block_combine<chunk_threads>(highest, scratch, [](float a, float b) { return max_of(a, b); });
  float sum = 0.0F, weighted = 0.0F;
#pragma unroll
  for (int i = 0; i < chunk_vectors; ++i)
#pragma unroll
    for (int j = 0; j < vector_width; ++j) {
      if (chunk_column(at.chunk, i) + j >= vocabulary) continue;
      const float below = z[i][j] - highest, e = expf(below);
      sum += e;
      weighted = fmaf(e, below, weighted);
    }
  sum = block_sum<chunk_threads>(sum, scratch);
  if (with_entropy) weighted = block_sum<chunk_threads>(weighted, scratch);
  if (threadIdx.x == 0) sums[blockIdx.x] = {highest, sum, weighted};
}

constexpr int merge_threads = 128, merge_rows = merge_threads / warp_lanes;

// A warp has a row; lane l takes chunks l, l + 32, ...
__global__ void __launch_bounds__(merge_threads)
    merge_chunks_kernel(float* lse, float* entropy, const ChunkSums* sums, int64_t rows, int64_t chunks) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * merge_rows + warp_index();
  if (row >= rows) return;
  const ChunkSums* of_row = sums + row * chunks;
  float highest = -INFINITY;
  for (int64_t c = lane_index(); c < chunks; c += warp_lanes) highest = max_of(highest, of_row[c].max);
  highest = warp_max(highest);
  double total = 0.0, weighted = 0.0;
  for (int64_t c = lane_index(); c < chunks; c += warp_lanes) {
    // Σ exp(z - highest) and Σ exp(z - highest) (z - highest) of the chunk
    const double below = static_cast<double>(of_row[c].max) - static_cast<double>(highest), scale = exp(below);
    const double sum = static_cast<double>(of_row[c].sum);
    total += scale * sum;
    weighted += scale * (static_cast<double>(of_row[c].weighted) + below * sum);
  }
  total = warp_sum(total);
  weighted = warp_sum(weighted);
  if (lane_index() != 0) return;
  const double log_total = log(total);
  lse[row] = static_cast<float>(static_cast<double>(highest) + log_total);
  if (entropy != nullptr) entropy[row] = static_cast<float>(log_total - weighted / total);
}

struct Entry {
  int32_t row, token;
};
constexpr int gather_threads = 128;

__global__ void __launch_bounds__(gather_threads)
    gather_logprobs_kernel(float* out, Rows<const float> logits, const float* inverse_temperature, const float* lse,
                           const Entry* entries, int64_t count) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * gather_threads + threadIdx.x;
  if (i >= count) return;
  const Entry entry = entries[i];
  out[i] = token_logprob(logits.row(entry.row)[entry.token], inverse_temperature[entry.row], lse[entry.row]);
}

}  // namespace

void CudaBackend::log_sum_exp_rows(float* lse, float* entropy, Tensor logits, const float* inverse_temperature) {
  const int64_t chunks = chunks_of(logits.cols);
  const Scratch sums = scratch(static_cast<size_t>(logits.rows * chunks) * sizeof(ChunkSums));
  launch(stream_, {logits.rows * chunks, chunk_threads}, sum_chunks_kernel, sums.as<ChunkSums>(),
         rows_of<const float>(logits), logits.cols, chunks, inverse_temperature, entropy != nullptr);
  launch(stream_, {ceil_div(logits.rows, merge_rows), merge_threads}, merge_chunks_kernel, lse, entropy,
         sums.as<ChunkSums>(), logits.rows, chunks);
}

void CudaBackend::do_log_sum_exp(std::span<float> lse, std::span<float> entropy, Tensor logits,
                                 std::span<const float> inverse_temperature) {
  const Scratch results = scratch(2 * lse.size_bytes());
  auto* device_lse = results.as<float>();
  float* device_entropy = entropy.empty() ? nullptr : device_lse + lse.size();
  log_sum_exp_rows(device_lse, device_entropy, logits, arguments_.send(inverse_temperature));
  download(lse.data(), device_lse, lse.size_bytes());
  if (!entropy.empty()) download(entropy.data(), device_entropy, entropy.size_bytes());
}

void CudaBackend::do_gather_logprobs(std::span<float> out, Tensor logits, std::span<const float> inverse_temperature,
                                     std::span<const float> lse, std::span<const int32_t> row,
                                     std::span<const int32_t> token) {
  std::vector<Entry> entries;
  entries.reserve(row.size());
  for (size_t i = 0; i < row.size(); ++i) entries.push_back({row[i], token[i]});
  const Scratch results = scratch(out.size_bytes());
  const auto count = static_cast<int64_t>(entries.size());
  launch(stream_, {ceil_div(count, gather_threads), gather_threads}, gather_logprobs_kernel, results.as<float>(),
         rows_of<const float>(logits), arguments_.send(inverse_temperature), arguments_.send(lse),
         arguments_.send(std::span<const Entry>(entries)), count);
  download(out.data(), results.as<float>(), out.size_bytes());
}

}  // namespace ajet::cuda
