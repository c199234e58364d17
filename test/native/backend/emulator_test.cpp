// The emulator itself: fragment layouts against products written down plainly, and that it reports what a card would
// leave undefined.
#include <algorithm>
#include <numeric>

#include "backend/cuda/cuda_backend.h"
#include "backend/cuda/device/async_copy.cuh"
#include "backend/cuda/device/launch.cuh"
#include "backend/cuda/device/mma.cuh"
#include "backend/cuda/device/vector.cuh"
#include "backend_fixture.h"

namespace ajet::test {
namespace {

using namespace cuda;

template <typename Kernel, typename... Arguments>
void run(const cuda::Grid& grid, Kernel kernel, Arguments... arguments) {
  Stream stream(0, false);
  launch(stream, grid, kernel, arguments...);
  stream.synchronize();
}

struct Product {
  float a[16 * 16], b[16 * 8], c[16 * 8];
};

// Operands come by ldmatrix as a real kernel's do: a row-major, b as [k, n] and so transposed.
__global__ void bf16_product(Product* p) {
  auto* a = reinterpret_cast<bf16*>(dynamic_shared());
  bf16* b = a + 16 * 16;
  for (int i = lane_index(); i < 16 * 16; i += warp_lanes) a[i] = to_bf16(p->a[i]);
  for (int i = lane_index(); i < 16 * 8; i += warp_lanes) b[i] = to_bf16(p->b[i]);
  sync_warp();
  const int l = lane_index();
  uint32_t fragment_a[4], fragment_b[4];
  load_matrix_x4(fragment_a, a + (l % 16) * 16 + l / 16 * 8);
  load_matrix_x4_transposed(fragment_b, b + (l % 16) * 8);
  float c[4] = {1, 1, 1, 1};
  const uint32_t two[2] = {fragment_b[0], fragment_b[1]};
  mma_bf16(c, fragment_a, two);
  for (int i = 0; i < 4; ++i) p->c[(l / 4 + i / 2 * 8) * 8 + l % 4 * 2 + i % 2] = c[i];
}

__global__ void tf32_product(Product* p) {
  const int g = lane_index() / 4, t = lane_index() % 4;
  uint32_t a[4], b[2];
  for (int i = 0; i < 4; ++i) a[i] = to_tf32(p->a[(g + i % 2 * 8) * 16 + t + i / 2 * 4]);
  for (int i = 0; i < 2; ++i) b[i] = to_tf32(p->b[(t + i * 4) * 8 + g]);
  float c[4] = {1, 1, 1, 1};
  mma_tf32(c, a, b);
  for (int i = 0; i < 4; ++i) p->c[(g + i / 2 * 8) * 8 + t * 2 + i % 2] = c[i];
}

TEST("emulator fragments give the products they stand for") {
  for (const int depth : {16, 8}) {
    Product p{};
    for (int i = 0; i < 256; ++i) p.a[i] = static_cast<float>(i % 13 - 6);
    for (int i = 0; i < 128; ++i) p.b[i] = static_cast<float>(i % 7 - 3);
    run({1, 32, 2048}, depth == 16 ? bf16_product : tf32_product, &p);
    for (int row = 0; row < 16; ++row) {
      for (int col = 0; col < 8; ++col) {
        float expected = 1;
        for (int k = 0; k < depth; ++k) expected += p.a[row * 16 + k] * p.b[k * 8 + col];
        CHECK_EQ(p.c[row * 8 + col], expected);
      }
    }
  }
}

__global__ void exchange_kernel(float* out) {
  const auto value = static_cast<float>(threadIdx.x);
  __shared__ float scratch[warp_lanes];
  out[threadIdx.x] = shuffle(value, 3) + 100 * shuffle_xor(value, 1);
  out[64 + threadIdx.x] = warp_sum(value);
  out[128 + threadIdx.x] = block_sum<64>(value, scratch);
  out[192 + threadIdx.x] = warp_max<8>(value);
  out[256 + threadIdx.x] = static_cast<float>(ballot(lane_index() < 3));
}

TEST("emulator shuffles and sums") {
  Floats out(320);
  run({1, 64}, exchange_kernel, out.data());
  for (int i = 0; i < 64; ++i) {
    CHECK_EQ(out[i], static_cast<float>(i / 32 * 32 + 3 + 100 * (i ^ 1)));
    CHECK_EQ(out[64 + i], static_cast<float>(i / 32 * 32 * 32 + 31 * 16));
    CHECK_EQ(out[128 + i], static_cast<float>(63 * 32));
    CHECK_EQ(out[192 + i], static_cast<float>(i / 8 * 8 + 7));
    CHECK_EQ(out[256 + i], 7.0F);
  }
}

__global__ void copy_kernel(float* out, const float* in, bool wait) {
  auto* shared = reinterpret_cast<float*>(dynamic_shared());
  async_copy(shared + 4 * threadIdx.x, in + 4 * threadIdx.x, threadIdx.x == 31 ? 8 : 16);
  async_commit();
  if (wait) async_wait<0>();
  __syncthreads();
  for (int i = 0; i < 4; ++i) out[4 * threadIdx.x + i] = shared[(4 * threadIdx.x + i + 4) % 128];
  __syncthreads();
  async_wait<0>();
}

TEST("emulator copies late") {
  alignas(16) float in[128];
  Floats out(128);
  for (int i = 0; i < 128; ++i) in[i] = static_cast<float>(i);
  run({1, 32, 512}, copy_kernel, out.data(), in, true);
  for (int i = 0; i < 128; ++i) CHECK_EQ(out[i], i == 122 || i == 123 ? 0.0F : static_cast<float>((i + 4) % 128));
  run({1, 32, 512}, copy_kernel, out.data(), in, false);
  for (int i = 0; i < 128; ++i) CHECK(std::isnan(out[i]));
}

__global__ void half_a_warp() {
  if (lane_index() < 16) sync_warp();
}
__global__ void different_meetings() {
  if (lane_index() < 16) {
    sync_warp();
  } else {
    ballot(true);
  }
}
__global__ void behind_shared(int at) { dynamic_shared()[at] = 0; }
__global__ void crooked_row() {
  uint32_t r[4];
  load_matrix_x4(r, dynamic_shared() + 2);
}

TEST("emulator reports what a card leaves undefined") {
  CHECK_ERROR(run({1, 32}, half_a_warp), "sync_warp was reached by 16 of 32 lanes");
  CHECK_ERROR(run({1, 32}, different_meetings), "lanes of a warp meet in sync_warp and in a ballot");
  CHECK_ERROR(run({1, 32, 64}, behind_shared, 64), "behind its dynamic shared memory");
  CHECK_ERROR(run({1, 32, 64}, crooked_row), "not a multiple of 16 bytes");
  CHECK_ERROR(run({1, 48}, half_a_warp), "expected a multiple of 32");
  CHECK_ERROR(run({0, 32}, half_a_warp), "a grid that CUDA refuses");
  run({1, 32, 64}, behind_shared, 63);
  CHECK_ERROR(run({1, 32, 227 << 10}, behind_shared, 0), "cudaFuncSetAttribute failed");
}

#if defined(AJET_EMULATOR_REPORTS_ALIGNMENT)
__global__ void crooked_vector(float* out, const float* in) {
  float values[vector_width];
  load8(values, in, vector_width, true);
  store8(out, values, vector_width, false);
}

TEST("emulator ends a kernel at a misaligned access") {
  alignas(16) const float in[vector_width + 2]{};
  Floats out(vector_width);
  run({1, 32}, crooked_vector, out.data(), in);
  CHECK_ERROR(run({1, 32}, crooked_vector, out.data(), in + 2), "wants a multiple of 16 bytes, at one plus 8");
  run({1, 32}, crooked_vector, out.data(), in);  // the next kernel is none the worse
}
#endif

// Warp 1 reads what warp 0 wrote, without a barrier.
__global__ void race(float* out) {
  __shared__ float value;
  if (threadIdx.x == 0) value = *out;
  if (threadIdx.x == 63) *out = value + 1;
}

TEST("emulator runs warps in two orders") {
  float out[2] = {1, 1};
  emulator::set_order(emulator::Order::forward);
  run({1, 64}, race, &out[0]);
  out[1] = 5;
  emulator::set_order(emulator::Order::reverse);
  run({1, 64}, race, &out[1]);
  emulator::set_order(emulator::Order::forward);
  CHECK_EQ(out[0], 2.0F);
  CHECK_EQ(out[1], 2.0F);  // the last block's value: the race shows
}

TEST("device memory is reused, merged and limited") {
  DeviceArena arena(0, size_t{64} << 20);
  void* a = arena.allocate(1 << 20);
  void* b = arena.allocate((1 << 20) - 100);
  CHECK_EQ(arena.reserved_bytes(), size_t{2} << 20);
  arena.free(a, 1 << 20);
  arena.free(b, (1 << 20) - 100);
  CHECK(arena.allocate(2 << 20) == a);
  CHECK_EQ(arena.reserved_bytes(), size_t{2} << 20);
  CHECK_EQ(arena.active_bytes(), size_t{2} << 20);
  CHECK_ERROR(arena.allocate(size_t{63} << 20), "[allocate] Expected 66060288 bytes of device memory");
  // The card is full: what nobody uses is given back and asked for again in one piece.
  emulator::set_device_memory(size_t{32} << 20);
  void* c = arena.allocate(20 << 20);
  arena.free(c, 20 << 20);
  CHECK(arena.allocate(28 << 20) != nullptr);
  emulator::set_device_memory(0);
}

TEST("device memory: what lives on beside a large allocation does not hold its segment") {
  emulator::set_device_memory(size_t{64} << 20);
  {
    DeviceArena arena(0, 0);
    constexpr size_t cache = (size_t{40} << 20) + 1000, table = 4000;
    void* first = arena.allocate(cache);
    void* lives_on = arena.allocate(table);
    arena.free(first, cache);
    void* larger = arena.allocate(size_t{56} << 20);  // the first one's segment was given back for it
    arena.free(larger, size_t{56} << 20);
    arena.free(lives_on, table);
  }
  emulator::set_device_memory(0);
}

TEST("arguments survive their host arrays, larger arrays and many others") {
  Stream stream(0, false);
  DeviceArena arena(0, 0);
  ArgumentRing ring(stream, arena);
  std::vector<int32_t> ids(1000);
  for (int32_t round = 0; round < 1500; ++round) {
    std::iota(ids.begin(), ids.end(), round);
    const int32_t* sent = ring.send(std::span<const int32_t>(ids));
    CHECK(sent == ring.send(std::span<const int32_t>(ids)));  // found again
    std::ranges::fill(ids, -1);
    if (round % 700 == 500) ring.send(std::span<const int32_t>(std::vector<int32_t>(500000 * (1 + round / 700))));
    stream.synchronize();
    std::iota(ids.begin(), ids.end(), round);
    CHECK(std::equal(ids.begin(), ids.end(), sent));
  }
}

TEST("an error names the call and the place") {
  CHECK_ERROR(AJET_CUDA(cudaSetDevice(7)), "cudaSetDevice(7) failed: cudaErrorInvalidDevice");
  CHECK_ERROR(AJET_CUDA(cudaSetDevice(7)), "at emulator_test.cpp:");
}

}  // namespace
}  // namespace ajet::test
