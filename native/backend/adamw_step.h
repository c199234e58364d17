// AdamW's constants of one update, as the devices' kernels take them. Included by files compiled with AVX flags: a
// plain struct only.
#pragma once

namespace ajet {

// w = w * decay - step_size * m / (sqrt(v) * root_correction + epsilon)
struct AdamwStep {
  float gradient_scale;
  float beta1, one_minus_beta1;
  float beta2, one_minus_beta2;
  float decay;
  float step_size;        // with the first moment's bias correction
  float root_correction;  // of the second moment's root
  float epsilon;
  friend bool operator==(const AdamwStep&, const AdamwStep&) = default;
};

}  // namespace ajet
