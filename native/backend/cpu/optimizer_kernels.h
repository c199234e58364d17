// Arguments of the optimizer's kernels. Included by files compiled with AVX flags: plain structs only.
#pragma once

namespace ajet::cpu {

// AdamW's constants of one update: w = w * decay - step_size * m / (sqrt(v) * root_correction + epsilon)
struct AdamwStep {
  float gradient_scale;
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float decay;
  float step_size;
  float root_correction;
  float epsilon;
};

}  // namespace ajet::cpu
