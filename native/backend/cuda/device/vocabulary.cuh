// The softmax over a row of logits in chunks of the vocabulary: the same cuts for sampler and trainer and for any
// number of rows, so that log-sum-exp is the same to the bit. A block has one chunk of one row, 16 columns a thread.
#pragma once

#include "backend/cuda/device/rows.cuh"
#include "backend/cuda/device/warp.cuh"

namespace ajet::cuda {

constexpr int chunk_threads = 256, chunk_vectors = 2;
constexpr int64_t chunk_columns = int64_t{chunk_threads} * chunk_vectors * vector_width;

inline int64_t chunks_of(int64_t vocabulary) { return ceil_div(vocabulary, chunk_columns); }

// blockIdx.x is row * chunks + chunk.
struct ChunkPosition {
  int64_t row, chunk;
};
AJET_DEVICE ChunkPosition chunk_position(int64_t chunks) {
  const int64_t row = blockIdx.x / chunks;
  return {row, blockIdx.x - row * chunks};
}

// First column of a thread's vector i; neighbours read neighbouring vectors.
AJET_DEVICE int64_t chunk_column(int64_t chunk, int i) {
  return chunk * chunk_columns + (i * chunk_threads + static_cast<int>(threadIdx.x)) * vector_width;
}

// Over a block, for commutative and associative combinations (max, sums of integers): every thread has the result.
template <int threads, typename T, typename Combine>
AJET_DEVICE T block_combine(T value, T* scratch, const Combine& combine) {
#pragma unroll
  for (int mask = warp_lanes / 2; mask > 0; mask /= 2) value = combine(value, shuffle_xor(value, mask));
  __syncthreads();  // the last call's readers are done
  if (lane_index() == 0) scratch[warp_index()] = value;
  __syncthreads();
  value = scratch[0];
  for (int w = 1; w < threads / warp_lanes; ++w) value = combine(value, scratch[w]);
  return value;
}

// The one formula for a token's log-probability, shared by sampler and trainer.
AJET_DEVICE float token_logprob(float logit, float inverse_temperature, float lse) {
  return logit * inverse_temperature - lse;
}

}  // namespace ajet::cuda
