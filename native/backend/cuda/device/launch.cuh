// The one way to start a kernel: launch(stream, {blocks, threads}, kernel<T>, arguments...). For .cu files.
#pragma once

#include <array>
#include <concepts>
#include <memory>
#include <source_location>
#include <tuple>

#include "backend/cuda/check.h"
#include "backend/cuda/device/platform.cuh"
#include "backend/cuda/shared_bytes.h"
#include "backend/cuda/stream.h"

namespace ajet::cuda {

struct Grid {
  int64_t blocks;
  int threads;               // of a block, a multiple of 32
  int64_t shared_bytes = 0;  // dynamic
  int64_t blocks_y = 1;      // at most 65,535
  std::source_location where = std::source_location::current();
};

// Dynamic shared memory that a block may have on every card from compute capability 8.0 on, beside 1 KiB of the
// kernel's own variables: 8.6, 8.9 and 12.0 have 99 KiB a block. A kernel that wants more asks what the card has.
constexpr int64_t least_shared_bytes = 98 << 10;

template <typename... Parameters>
class TypedLaunch final : public KernelLaunch {
 public:
  static_assert((std::equality_comparable<Parameters> && ...), "launches are compared: see kernel_launch.h");

  TypedLaunch(const Grid& grid, void (*kernel)(Parameters...), const std::tuple<Parameters...>& arguments)
      : grid_(grid), kernel_(kernel), arguments_(arguments) {}

  void queue(cudaStream_t stream) const override {
    const auto* entry = reinterpret_cast<const void*>(kernel_);
    allow_shared_bytes(entry, grid_.shared_bytes, grid_.where);
#if defined(AJET_CUDA_EMULATED)
    const emulator::Grid shape{{static_cast<uint32_t>(grid_.blocks), static_cast<uint32_t>(grid_.blocks_y), 1},
                               static_cast<uint32_t>(grid_.threads),
                               static_cast<size_t>(grid_.shared_bytes)};
    check(emulator::launch(entry, shape, stream,
                           [kernel = kernel_, arguments = arguments_] { std::apply(kernel, arguments); }),
          "a kernel launch", grid_.where);
#else
    const dim3 blocks(static_cast<unsigned>(grid_.blocks), static_cast<unsigned>(grid_.blocks_y));
    auto arguments = arguments_;
    auto addresses =
        std::apply([](auto&... values) { return std::array<void*, sizeof...(values)>{&values...}; }, arguments);
    check(cudaLaunchKernel(entry, blocks, dim3(static_cast<unsigned>(grid_.threads)), addresses.data(),
                           static_cast<size_t>(grid_.shared_bytes), stream),
          "a kernel launch", grid_.where);
#endif
  }
  std::unique_ptr<KernelLaunch> clone() const override { return std::make_unique<TypedLaunch>(*this); }
  bool equals(const KernelLaunch& other) const override {
    const auto* same = dynamic_cast<const TypedLaunch*>(&other);
    return same != nullptr && kernel_ == same->kernel_ && grid_.blocks == same->grid_.blocks &&
           grid_.blocks_y == same->grid_.blocks_y && grid_.threads == same->grid_.threads &&
           grid_.shared_bytes == same->grid_.shared_bytes && arguments_ == same->arguments_;
  }

 private:
  Grid grid_;
  void (*kernel_)(Parameters...);
  std::tuple<Parameters...> arguments_;
};

// Arguments are converted to the kernel's own parameter types and copied; spans and references to host memory never
// belong among them.
template <typename... Parameters, typename... Arguments>
void launch(Stream& stream, const Grid& grid, void (*kernel)(Parameters...), Arguments... arguments) {
  stream.launch(TypedLaunch<Parameters...>(grid, kernel, {static_cast<Parameters>(arguments)...}), grid.where);
}

__host__ __device__ constexpr int64_t ceil_div(int64_t value, int64_t divisor) {
  return (value + divisor - 1) / divisor;
}

}  // namespace ajet::cuda
