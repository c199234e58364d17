// Updates over flat storage, and its sum of squares over blocks of a fixed size.
#include "backend/adamw_constants.h"
#include "backend/cuda/device/rows.cuh"
#include "backend/cuda/device/warp.cuh"

namespace ajet::cuda {
namespace {

constexpr int threads = 256;
constexpr int64_t block_elements = 65536;
constexpr int width = 4;  // elements of a thread; storage is a multiple of 16

using Float4 = Pack<float, width>;

__global__ void __launch_bounds__(threads) sum_squares_kernel(double* parts, const float* x, int64_t elements) {
  __shared__ double scratch[warp_lanes];
  const int64_t begin = static_cast<int64_t>(blockIdx.x) * block_elements;
  const int64_t end = min_of(elements, begin + block_elements);
  double sum = 0.0;
  for (int64_t i = begin + threadIdx.x * width; i < end; i += threads * width) {
    const Float4 pack = *reinterpret_cast<const Float4*>(x + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const auto value = static_cast<double>(pack.values[j]);
      sum = fma(value, value, sum);
    }
  }
  sum = block_sum<threads>(sum, scratch);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

// One block: thread i sums parts i, i + 256, ...
__global__ void __launch_bounds__(threads) sum_parts_kernel(double* total, const double* parts, int64_t count) {
  __shared__ double scratch[warp_lanes];
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < count; i += threads) sum += parts[i];
  sum = block_sum<threads>(sum, scratch);
  if (threadIdx.x == 0) *total = sum;
}

__global__ void __launch_bounds__(threads)
    adamw_kernel(float* w, float* m, float* v, const float* gradient, bf16* copy, int64_t elements, AdamwStep step) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) * width;
  if (i >= elements) return;
  auto ws = *reinterpret_cast<Float4*>(w + i), ms = *reinterpret_cast<Float4*>(m + i);
  auto vs = *reinterpret_cast<Float4*>(v + i);
  const auto gs = *reinterpret_cast<const Float4*>(gradient + i);
  Pack<bf16, width> rounded;
#pragma unroll
  for (int j = 0; j < width; ++j) {
    const float g = gs.values[j] * step.gradient_scale;
    ms.values[j] = fmaf(step.beta1, ms.values[j], step.one_minus_beta1 * g);
    vs.values[j] = fmaf(step.beta2, vs.values[j], step.one_minus_beta2 * (g * g));
    const float divisor = fmaf(sqrtf(vs.values[j]), step.root_correction, step.epsilon);
    ws.values[j] = fmaf(-step.step_size, ms.values[j] / divisor, ws.values[j] * step.decay);
    rounded.values[j] = to_bf16(ws.values[j]);
  }
  *reinterpret_cast<Float4*>(w + i) = ws;
  *reinterpret_cast<Float4*>(m + i) = ms;
  *reinterpret_cast<Float4*>(v + i) = vs;
  if (copy != nullptr) *reinterpret_cast<Pack<bf16, width>*>(copy + i) = rounded;
}

__global__ void __launch_bounds__(threads) axpy_kernel(float* y, float a, const float* x, int64_t elements) {
  const int64_t i = (static_cast<int64_t>(blockIdx.x) * threads + threadIdx.x) * width;
  if (i >= elements) return;
  auto ys = *reinterpret_cast<Float4*>(y + i);
  const auto xs = *reinterpret_cast<const Float4*>(x + i);
#pragma unroll
  for (int j = 0; j < width; ++j) ys.values[j] = fmaf(a, xs.values[j], ys.values[j]);
  *reinterpret_cast<Float4*>(y + i) = ys;
}

}  // namespace

double CudaBackend::sum_squares(const float* x, int64_t elements) {
  if (elements == 0) return 0.0;
  const int64_t blocks = ceil_div(elements, block_elements);
  const Scratch parts = scratch(static_cast<size_t>(blocks + 1) * sizeof(double));
  double* total = parts.as<double>() + blocks;
  launch(stream_, {blocks, threads}, sum_squares_kernel, parts.as<double>(), x, elements);
  launch(stream_, {1, threads}, sum_parts_kernel, total, parts.as<double>(), blocks);
  double result = 0.0;
  download(&result, total, sizeof(result));
  return result;
}

void CudaBackend::adamw(float* w, float* m, float* v, const float* gradient, int64_t elements, const AdamwArgs& args) {
  if (elements == 0) return;
  launch(stream_, {ceil_div(elements, threads * width), threads}, adamw_kernel, w, m, v, gradient,
         static_cast<bf16*>(args.compute_copy), elements, adamw_step(args));
}

void CudaBackend::axpy(float* y, float a, const float* x, int64_t elements) {
  if (elements == 0) return;
  launch(stream_, {ceil_div(elements, threads * width), threads}, axpy_kernel, y, a, x, elements);
}

}  // namespace ajet::cuda
