// Drawing tokens. A draw depends on its row's logits, parameters, seed and offset alone.
//
// Probabilities are added up in fixed point, p * 2^62: exactly for p >= 2^-38, whatever the order, so that a draw needs
// no care for rounding. Without filters a token is drawn in token order, by chunks of the vocabulary first; with
// filters in the order of descending probability, of which each filter keeps the beginning: see device/selection.cuh.
#include <vector>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/philox.cuh"
#include "backend/cuda/device/selection.cuh"

namespace ajet::cuda {
namespace {

AJET_DEVICE uint64_t mass_of(float p) {
  return p > 0.0F ? static_cast<uint64_t>(min_of(p, 2.0F) * 0x1p62F) : 0;  // 0 for NaN
}

AJET_DEVICE bool is_finite(float value) { return (float_bits(value) & 0x7F800000U) != 0x7F800000U; }

AJET_DEVICE bool is_greedy(const SampleRow& row) { return row.temperature == 0.0F; }

// A row's logits as probabilities, for select().
struct ProbabilityRow {
  const float* logits;
  float inverse_temperature, lse;

  AJET_DEVICE float p(int64_t v) const { return expf(token_logprob(logits[v], inverse_temperature, lse)); }
  AJET_DEVICE uint32_t key(int64_t v) const { return ordered_bits(p(v)); }
  AJET_DEVICE uint64_t mass(uint32_t key) const { return mass_of(ordered_float(key)); }
};

struct ChunkSummary {
  uint64_t value;  // Σ mass; of greedy rows the largest (logit, reversed id)
  uint32_t not_finite;
};

__global__ void __launch_bounds__(chunk_threads)
    summarise_chunks_kernel(ChunkSummary* summaries, Rows<const float> logits, int64_t vocabulary, int64_t chunks,
                            const SampleRow* rows, const float* inverse_temperature, const float* lse) {
  __shared__ uint64_t scratch[chunk_threads / warp_lanes];
  __shared__ uint32_t flags[chunk_threads / warp_lanes];
  const ChunkPosition at = chunk_position(chunks);
  const bool greedy = is_greedy(rows[at.row]);
  uint64_t value = 0;
  uint32_t not_finite = 0;
#pragma unroll
  for (int i = 0; i < chunk_vectors; ++i) {
    const int64_t col = chunk_column(at.chunk, i);
    float x[vector_width];
    load8(x, logits.row(at.row) + col, vocabulary - col, logits.vectorized);
#pragma unroll
    for (int j = 0; j < vector_width; ++j) {
      if (col + j >= vocabulary) continue;
      if (!is_finite(x[j])) not_finite = 1;
      if (greedy) {
        const auto reversed_id = static_cast<uint32_t>(0xFFFFFFFFU - (col + j));
        value = max_of(value, static_cast<uint64_t>(ordered_bits(x[j])) << 32 | reversed_id);
      } else {
        value += mass_of(expf(token_logprob(x[j], inverse_temperature[at.row], lse[at.row])));
      }
    }
  }
  value = block_combine<chunk_threads>(value, scratch,
                                       [&](uint64_t a, uint64_t b) { return greedy ? max_of(a, b) : a + b; });
  not_finite = block_combine<chunk_threads>(not_finite, flags, [](uint32_t a, uint32_t b) { return a | b; });
  if (threadIdx.x == 0) summaries[blockIdx.x] = {value, not_finite};
}

template <int threads>
struct DrawMemory {
  SelectionMemory selection;
  uint64_t scratch[threads / warp_lanes];
  uint64_t target, chunk;
  int32_t token;
};

// In token order: the first token at which the mass of all up to it exceeds u times the whole.
template <int threads>
AJET_DEVICE void draw_in_token_order(const ProbabilityRow& row, int64_t vocabulary, const ChunkSummary* chunks,
                                     int64_t chunk_count, uint64_t whole, uint64_t u, DrawMemory<threads>& memory) {
  if (threadIdx.x == 0) {
    uint64_t target = multiply_high(u, whole);
    int64_t c = 0;
    for (; c + 1 < chunk_count && chunks[c].value <= target; ++c) target -= chunks[c].value;
    memory.target = target;
    memory.chunk = static_cast<uint64_t>(c);
  }
  __syncthreads();
  constexpr int own = static_cast<int>(chunk_columns) / threads;
  const int64_t first = static_cast<int64_t>(memory.chunk) * chunk_columns + static_cast<int>(threadIdx.x) * own;
  const uint64_t target = memory.target;
  const int64_t end = min_of(vocabulary, first + own);
  uint64_t sum = 0;
  for (int64_t v = first; v < end; ++v) sum += mass_of(row.p(v));
  uint64_t below = block_exclusive_sum(sum, memory.scratch);
  if (below > target || below + sum <= target) return;  // one thread goes on
  for (int64_t v = first; v < end; ++v) {
    const uint64_t mass = mass_of(row.p(v));
    if (below <= target && below + mass > target) memory.token = static_cast<int32_t>(v);
    below += mass;
  }
}

// The mass of the tokens that top_k, then top_p, then min_p keep; top_p's is relative to what top_k left.
template <int threads>
AJET_DEVICE uint64_t kept_mass(const ProbabilityRow& row, int64_t vocabulary, const SampleRow& parameters,
                               uint64_t whole, DrawMemory<threads>& memory) {
  uint64_t kept = whole;
  const auto mass_through = [&](const Selected& last) { return last.mass_above + (last.tie + 1) * row.mass(last.key); };
  if (parameters.top_k > 0 && parameters.top_k < vocabulary) {
    const auto before = static_cast<uint64_t>(parameters.top_k - 1);
    kept = mass_through(select(row, vocabulary, true, before, memory.selection));
  }
  if (parameters.top_p < 1.0F) {
    const double wanted = ceil(static_cast<double>(parameters.top_p) * static_cast<double>(kept));
    const uint64_t mass = max_of(uint64_t{1}, min_of(kept, static_cast<uint64_t>(wanted)));
    kept = mass_through(select(row, vocabulary, false, mass - 1, memory.selection));
  }
  if (parameters.min_p > 0.0F) {
    const auto most = [](uint64_t a, uint64_t b) { return max_of(a, b); };
    const auto sum = [](uint64_t a, uint64_t b) { return a + b; };
    uint64_t highest = 0, likely = 0;
    for (int64_t v = threadIdx.x; v < vocabulary; v += threads) highest = max_of<uint64_t>(highest, row.key(v));
    highest = block_combine<threads>(highest, memory.scratch, most);
    const float best = ordered_float(static_cast<uint32_t>(highest));
    const double least = static_cast<double>(parameters.min_p) * static_cast<double>(best);
    for (int64_t v = threadIdx.x; v < vocabulary; v += threads) {
      const float p = row.p(v);
      if (static_cast<double>(p) >= least) likely += mass_of(p);
    }
    likely = block_combine<threads>(likely, memory.scratch, sum);
    kept = min_of(kept, max_of(likely, mass_of(best)));
  }
  return kept;
}

// In the order of descending probability, lower id first on ties.
template <int threads>
AJET_DEVICE void draw_in_sorted_order(const ProbabilityRow& row, int64_t vocabulary, uint64_t kept, uint64_t u,
                                      DrawMemory<threads>& memory) {
  const Selected drawn = select(row, vocabulary, false, multiply_high(u, kept), memory.selection);
  const int64_t own = (vocabulary + threads - 1) / threads, first = static_cast<int>(threadIdx.x) * own;
  const int64_t end = min_of(vocabulary, first + own);
  uint64_t ties = 0;
  for (int64_t v = first; v < end; ++v) ties += row.key(v) == drawn.key ? 1U : 0U;
  uint64_t before = block_exclusive_sum(ties, memory.scratch);
  if (before > drawn.tie || before + ties <= drawn.tie) return;  // one thread goes on
  for (int64_t v = first; v < end; ++v)
    if (row.key(v) == drawn.key && before++ == drawn.tie) memory.token = static_cast<int32_t>(v);
}

template <int threads>
__global__ void __launch_bounds__(threads)
    draw_kernel(TokenLogprob* drawn, Rows<const float> logits, int64_t vocabulary, int64_t chunk_count,
                const ChunkSummary* summaries, const SampleRow* rows, const float* inverse_temperature,
                const float* lse) {
  __shared__ DrawMemory<threads> memory;
  const int64_t r = blockIdx.x;
  const SampleRow parameters = rows[r];
  const ChunkSummary* chunks = summaries + r * chunk_count;
  const ProbabilityRow row{logits.row(r), inverse_temperature[r], lse[r]};
  const bool greedy = is_greedy(parameters);
  uint64_t whole = 0;
  uint32_t not_finite = 0;
  for (int64_t c = 0; c < chunk_count; ++c) {
    whole = greedy ? max_of(whole, chunks[c].value) : whole + chunks[c].value;
    not_finite |= chunks[c].not_finite;
  }
  if (threadIdx.x == 0) memory.token = 0;
  __syncthreads();
  if (not_finite == 0) {
    const bool filtered =
        (parameters.top_k > 0 && parameters.top_k < vocabulary) || parameters.top_p < 1.0F || parameters.min_p > 0.0F;
    if (greedy) {
      if (threadIdx.x == 0) memory.token = static_cast<int32_t>(0xFFFFFFFFU - static_cast<uint32_t>(whole));
    } else {
      const uint64_t u = uniform_bits(parameters.seed, parameters.offset);
      if (filtered) {
        const uint64_t kept = kept_mass<threads>(row, vocabulary, parameters, whole, memory);
        draw_in_sorted_order<threads>(row, vocabulary, kept, u, memory);
      } else {
        draw_in_token_order<threads>(row, vocabulary, chunks, chunk_count, whole, u, memory);
      }
    }
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  const int32_t token = memory.token;
  drawn[r] = not_finite != 0 ? TokenLogprob{-1, 0.0F}
                             : TokenLogprob{token, token_logprob(row.logits[token], row.inverse_temperature, row.lse)};
}

}  // namespace

void CudaBackend::do_sample(std::span<TokenLogprob> drawn, Tensor logits, std::span<const SampleRow> rows) {
  std::vector<float> inverse_temperature;
  for (const SampleRow& row : rows)
    inverse_temperature.push_back(row.temperature == 0.0F ? 1.0F : 1.0F / row.temperature);
  const float* factors = arguments_.send(std::span<const float>(inverse_temperature));
  const SampleRow* parameters = arguments_.send(rows);
  const int64_t chunks = chunks_of(logits.cols);
  const Scratch lse = scratch(rows.size() * sizeof(float));
  const Scratch summaries = scratch(rows.size() * static_cast<size_t>(chunks) * sizeof(ChunkSummary));
  const auto input = rows_of<const float>(logits);
  log_sum_exp_rows(lse.as<float>(), nullptr, logits, factors);
  launch(stream_, {logits.rows * chunks, chunk_threads}, summarise_chunks_kernel, summaries.as<ChunkSummary>(), input,
         logits.cols, chunks, parameters, factors, lse.as<float>());
  // The draw is the same with any number of threads.
  const bool wide = logits.cols > chunk_columns;
  launch(stream_, {logits.rows, wide ? 1024 : 128}, wide ? draw_kernel<1024> : draw_kernel<128>, drawn.data(), input,
         logits.cols, chunks, summaries.as<ChunkSummary>(), parameters, factors, lse.as<float>());
}

}  // namespace ajet::cuda
