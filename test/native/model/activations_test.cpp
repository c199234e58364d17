// How many bytes the tensors of a pass take.
#include "model/activations.h"

#include "check.h"
#include "model/parameters.h"
#include "qwen3.h"

namespace ajet::test {
namespace {

size_t bytes_of(int64_t tokens, const ActivationLayout& layout) {
  return Activations::Data::bytes(qwen3_0_6b(), DType::bf16, tokens, layout);
}

constexpr size_t mib = size_t{1} << 20;

}  // namespace

TEST("activations: with layers computed again a token costs its residual stream, and a rest that no layer adds to") {
  constexpr int64_t tokens = 16384;
  const size_t stream = tokens * 1024 * sizeof(float);
  // q, k, v as projected; q and k rotated; attended; lse; then dprojected and dattended.
  const size_t shared = tokens * (2 * (4096 + 3072 + 2048) + 4 * 16 + 2 * (4096 + 2048));
  CHECK_EQ(bytes_of(tokens, {.keep = Keep::layer_inputs}), 28 * stream + shared);
  CHECK_EQ(bytes_of(tokens, {.keep = Keep::layer_inputs}) / mib, 2273U);
  const size_t layer = stream + tokens * (2 * (4096 + 3072 + 2048) + 4 * 16 + 4 * 1024 + 2 * 6144);
  CHECK_EQ(bytes_of(tokens, {.keep = Keep::everything}), stream + 28 * layer + tokens * 2 * (4096 + 2048));
  CHECK_LE(bytes_of(tokens, {.keep = Keep::nothing}), stream + 512 * mib);
}

TEST("activations: the MLP's share is that of its chunk of rows") {
  const auto with_rows = [](int64_t rows) { return bytes_of(16384, {.keep = Keep::nothing, .mlp_rows = rows}); };
  CHECK_EQ(with_rows(16384) - with_rows(4096), (16384U - 4096U) * 2 * 3 * 3072);
  CHECK_EQ(with_rows(5000), with_rows(4096));  // chunks are nearly equal
  CHECK_EQ(with_rows(100000), with_rows(16384));
}

TEST("activations: what is lent takes room only beyond the scratch of a layer") {
  for (const Keep keep : {Keep::nothing, Keep::layer_inputs, Keep::everything}) {
    const size_t alone = bytes_of(4096, {.keep = keep});
    CHECK_EQ(bytes_of(4096, {.keep = keep, .lent_bytes = 16 * mib}), alone);
    CHECK(bytes_of(4096, {.keep = keep, .lent_bytes = 512 * mib}) > alone);
    CHECK(bytes_of(4096, {.keep = keep, .lent_bytes = 512 * mib}) < alone + 512 * mib);
  }
}

// Weights, a copy of them in bf16, their gradients and AdamW's moments; hidden states and their gradients; the logits
// and what belongs to them lie in what the layers lend.
TEST("activations: Qwen3-0.6B trains on 16,384 tokens at once in 12.5 GiB") {
  const ModelConfig config = qwen3_0_6b();
  constexpr size_t tokens = 16384;
  const auto elements = static_cast<size_t>(ParameterLayout::build(config, *make_cpu_backend(1)).elements);
  const size_t weights = elements * (4 + 2 + 4 + 4 + 4);
  const size_t hidden = tokens * 1024 * (2 + 4);
  const size_t head_rows = (256 * mib) / (151936 * 4), head = head_rows * (151936 * 4 + 1024 * (2 + 4)) + 3 * 256;
  const size_t activations = bytes_of(tokens, {.keep = Keep::layer_inputs, .lent_bytes = head});
  CHECK_EQ(activations, bytes_of(tokens, {.keep = Keep::layer_inputs}));
  const size_t total = weights + hidden + activations;
  CHECK_EQ(total / mib, 12600U);
  CHECK_LE(total, 12 * 1024 * mib + 512 * mib);
  // The logits in bf16 and cuBLASLt's own memory, which come and go, included.
  CHECK_LE(total + head_rows * 151936 * 2 + 32 * mib, 12 * 1024 * mib + 512 * mib);
}

}  // namespace ajet::test
