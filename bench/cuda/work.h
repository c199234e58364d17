// How much work a figure is: floating-point operations (a multiply-add counts two) and bytes.
#pragma once

#include <cstdint>

#include "model/model_config.h"

namespace ajet::bench {

// A forward pass over `tokens` tokens that see `pairs` keys together, themselves included, and `head_rows` rows of
// logits.
struct ForwardWork {
  double tokens = 0, pairs = 0, head_rows = 0;
};

// A group of responses to one prompt, the prompt computed once. A response's last token is predicted, never computed;
// the prompt's last hidden state predicts the first token of each.
ForwardWork group_work(int64_t prompt, int64_t response, int64_t responses);

// 2 operations for each weight of a layer's matrices and token, 2 for each weight of the head and row of logits, 4 for
// each component of each head, layer and pair (q·k and p·v). Norms, rotations and the rest are not counted.
double forward_flops(const ModelConfig& shape, const ForwardWork& work);
// Thrice the forward pass: the backward has two products for each of its products. What is computed again, by
// recomputation or within flash attention, counts nothing.
double update_flops(const ModelConfig& shape, const ForwardWork& work);

// Of one token's keys and values in all layers.
double kv_bytes_per_token(const ModelConfig& shape, int64_t element_bytes);

}  // namespace ajet::bench
