// The CUDA backend's forward products below Backend: each kernel of the family on the same rows.
#include <cstring>

#include "backend/cuda/device_arena.h"
#include "backend/cuda/products.h"
#include "backend/cuda/transfers.h"
#include "backend_fixture.h"

namespace ajet::test {
namespace {

using cuda::ForwardPlan;
using cuda::ForwardTile;
using cuda::ProductUnit;

struct Shape {
  int64_t weight_rows, depth;
};
constexpr int64_t h100_shared = 227 << 10, small_shared = 99 << 10;  // bytes of a block
const Shape one_segment{70, 200}, two_segments{150, 700};

// The product's operands on the emulated card.
class Rows {
 public:
  Rows(const Shape& shape, int64_t rows) : shape_(shape) {
    weights_ = random_bits(shape.weight_rows, 1);
    tokens_ = random_bits(rows, 2);
    bias_ = upload(random_floats(3, shape.weight_rows));
    y_ = static_cast<float*>(arena_.allocate(static_cast<size_t>(rows * shape.weight_rows) * sizeof(float)));
    arrivals_ = upload(std::vector<uint32_t>(cuda::max_split_tiles, 0));
  }

  // y of rows [first, first + count).
  Floats multiply(const ForwardPlan& plan, int64_t first, int64_t count) {
    const Tensor y{y_, DType::f32, count, shape_.weight_rows, shape_.weight_rows};
    const Tensor bias{bias_, DType::f32, 1, shape_.weight_rows, shape_.weight_rows};
    const cuda::Product product{operand(weights_, shape_.weight_rows), operand(tokens_ + first * stride(), count),
                                shape_.depth, cuda::product_output(y, false, bias)};
    const size_t bytes = cuda::partial_bytes(plan, product);
    void* partials = arena_.allocate(bytes);
    cuda::multiply_forward(stream_, product, plan, static_cast<float*>(partials), arrivals_);
    arena_.free(partials, bytes);
    Floats values(static_cast<size_t>(count * shape_.weight_rows));
    transfers_.download(values.data(), y_, values.size() * sizeof(float));
    return values;
  }

 private:
  int64_t stride() const { return (shape_.depth + 15) / 16 * 16; }
  cuda::Operand operand(const uint16_t* data, int64_t outer) const {
    return {reinterpret_cast<const cuda::bf16*>(data), stride(), outer};
  }
  uint16_t* random_bits(int64_t rows, uint64_t seed) {
    std::vector<uint16_t> bits(static_cast<size_t>(rows * stride()));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < shape_.depth; ++c)
        bits[static_cast<size_t>(r * stride() + c)] =
            bf16_bits(static_cast<float>(normal_double(seed, static_cast<uint64_t>(r * shape_.depth + c))));
    return upload(bits);
  }
  template <typename T>
  T* upload(const std::vector<T>& values) {
    void* data = arena_.allocate(values.size() * sizeof(T));
    transfers_.upload(data, values.data(), values.size() * sizeof(T));
    return static_cast<T*>(data);
  }

  cuda::Stream stream_{0, false};
  cuda::DeviceArena arena_{0, 0};
  cuda::Transfers transfers_{stream_};
  Shape shape_;
  uint16_t *weights_, *tokens_;
  float *bias_, *y_;
  uint32_t* arrivals_;
};

// In the emulator both units add in the same order. On a card each has its own bits.
TEST("forward products give a row the same bits in every tile and beside any number of rows") {
  for (const Shape& shape : {one_segment, two_segments}) {
    constexpr int64_t all = 257, shared = h100_shared;
    const cuda::DepthSegments segments = cuda::depth_segments(shape.weight_rows, shape.depth);
    Rows rows(shape, all);
    const ForwardPlan by_size = cuda::plan_forward(all, shape.weight_rows, shape.depth, shared);
    const Floats expected = rows.multiply(by_size, 0, all);
    for (const ProductUnit unit : {ProductUnit::warp, ProductUnit::warpgroup}) {
      int kernels = 0;
      for (const ForwardTile tile : cuda::forward_tiles) {
        for (const bool split : {false, true}) {
          if (!cuda::has_kernel({tile, split, unit}, segments)) continue;
          ++kernels;
          CHECK(same_bits(rows.multiply({tile, split, unit}, 0, all), expected));
          CHECK(same_bits(rows.multiply({tile, split, unit}, 0, all), expected));  // the counters are 0 again
        }
      }
      CHECK_EQ(kernels, 5);
      for (const int64_t count : {1, 2, 7, 64}) {
        const int64_t first = all - count;
        const ForwardPlan plan = cuda::plan_forward(count, shape.weight_rows, shape.depth, shared, unit);
        const Floats alone = rows.multiply(plan, first, count);
        CHECK(same_bits(alone, Floats(expected.begin() + first * shape.weight_rows, expected.end())));
      }
    }
  }
}

TEST("forward products have a kernel for every size that is planned") {
  const Shape shapes[] = {one_segment,  two_segments, {1, 1},       {4096, 1024},  {1024, 2048}, {6144, 1024},
                          {1024, 3072}, {2048, 1536}, {1536, 1536}, {17920, 1536}, {1536, 8960}, {151936, 1024}};
  for (const Shape& shape : shapes) {
    const cuda::DepthSegments segments = cuda::depth_segments(shape.weight_rows, shape.depth);
    CHECK_LE((segments.count - 1) * segments.steps * cuda::depth_step, shape.depth - 1);
    CHECK_LE(shape.depth, segments.count * segments.steps * cuda::depth_step);
    for (const ProductUnit unit : {ProductUnit::warp, ProductUnit::warpgroup})
      for (const int64_t shared : {h100_shared, small_shared})
        for (int64_t tokens = 1; tokens < 20000; tokens += 1 + tokens / 3)
          CHECK(cuda::has_kernel(cuda::plan_forward(tokens, shape.weight_rows, shape.depth, shared, unit), segments));
  }
}

}  // namespace
}  // namespace ajet::test
