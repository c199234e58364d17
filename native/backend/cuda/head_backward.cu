// The gradient of log-probs and entropies with respect to logits, in place.
#include <vector>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/vocabulary.cuh"

namespace ajet::cuda {
namespace {

struct RowGradient {
  float inverse_temperature, lse, entropy, dentropy;
  float dlogprob;  // of all the row's entries
  int32_t first_entry, entries;
};

struct EntryGradient {
  int32_t token;
  float dlogprob;
};

// logits = -inverse_temperature p (dlogprob + dentropy (log p + entropy)), and the row's own tokens added to it
__global__ void __launch_bounds__(chunk_threads)
    logits_backward_kernel(Rows<float> logits, int64_t vocabulary, int64_t chunks, const RowGradient* rows,
                           const EntryGradient* entries) {
  const ChunkPosition at = chunk_position(chunks);
  const RowGradient row = rows[at.row];
  float* x = logits.row(at.row);
#pragma unroll
  for (int i = 0; i < chunk_vectors; ++i) {
    const int64_t col = chunk_column(at.chunk, i), count = vocabulary - col;
    float values[vector_width];
    load8(values, x + col, count, logits.vectorized);
#pragma unroll
    for (int j = 0; j < vector_width; ++j) {
      const float logprob = token_logprob(values[j], row.inverse_temperature, row.lse);
      const float gradient = fmaf(row.dentropy, logprob + row.entropy, row.dlogprob);
      values[j] = expf(logprob) * gradient * -row.inverse_temperature;
    }
    store8(x + col, values, count, logits.vectorized);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;  // one thread: a token may come twice
  const int64_t begin = at.chunk * chunk_columns, end = begin + chunk_columns;
  for (int32_t e = row.first_entry; e < row.first_entry + row.entries; ++e) {
    const EntryGradient entry = entries[e];
    if (entry.token >= begin && entry.token < end) x[entry.token] += row.inverse_temperature * entry.dlogprob;
  }
}

}  // namespace

void CudaBackend::do_logits_backward(Tensor logits, std::span<const float> inverse_temperature,
                                     std::span<const float> lse, std::span<const float> entropy,
                                     std::span<const float> dentropy, std::span<const int32_t> row,
                                     std::span<const int32_t> token, std::span<const float> dlogprob) {
  std::vector<RowGradient> rows;
  std::vector<EntryGradient> entries;
  for (size_t r = 0; r < inverse_temperature.size(); ++r) {
    RowGradient& gradient = rows.emplace_back();
    gradient = {inverse_temperature[r], lse[r], 0.0F, 0.0F, 0.0F, static_cast<int32_t>(entries.size()), 0};
    if (!dentropy.empty()) {
      gradient.entropy = entropy[r];
      gradient.dentropy = dentropy[r];
    }
    for (size_t t = entries.size(); t < row.size() && row[t] == static_cast<int32_t>(r); ++t) {
      entries.push_back({token[t], dlogprob[t]});
      gradient.dlogprob += dlogprob[t];
      ++gradient.entries;
    }
  }
  const int64_t chunks = chunks_of(logits.cols);
  launch(stream_, {logits.rows * chunks, chunk_threads}, logits_backward_kernel, rows_of<float>(logits), logits.cols,
         chunks, arguments_.send(std::span<const RowGradient>(rows)),
         arguments_.send(std::span<const EntryGradient>(entries)));
}

}  // namespace ajet::cuda
