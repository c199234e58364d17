#include <array>

#include "backend_fixture.h"
#include "drawn_tokens.h"

namespace ajet::test {
namespace {

TEST("embedding copies rows") {
  for (const auto& backend : backends()) {
    const Matrix w = Matrix::random(37, 150, 1);
    const DeviceWeight weight(*backend, w);
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < 100; ++i) ids.push_back(i * 11 % 37);
    const DeviceMatrix y(*backend, Matrix(100, 150), 5);
    backend->embedding(y.tensor(), ids, weight.weight());
    const Matrix result = y.read();
    for (int64_t m = 0; m < 100; ++m) {
      for (int64_t k = 0; k < 150; ++k)
        CHECK_EQ(result(m, k), rounded(backend->compute_dtype(), w(ids[static_cast<size_t>(m)], k)));
    }
  }
}

TEST("embedding reads tokens where they were drawn") {
  for (const auto& backend : backends()) {
    const Matrix w = Matrix::random(37, 150, 1);
    const DeviceWeight weight(*backend, w);
    const DeviceMatrix y(*backend, Matrix(4, 150));
    // The most likely tokens of these logits are 30 and 7; the third row has none.
    Floats logits(3 * 37);
    logits[30] = logits[37 + 7] = 5;
    logits[2 * 37 + 1] = std::nanf("");
    const DeviceMatrix head(*backend, 3, 37, logits);
    const std::vector<SampleRow> greedy(3, {.temperature = 0});
    read_drawn(*backend, 3, [&](auto drawn) {
      backend->sample(drawn, head, greedy);
      const std::vector<int32_t> ids = {-2, 4, -1, -3};
      backend->embedding(y.tensor(), ids, weight.weight(), drawn);
      CHECK_ERROR(backend->embedding(y.tensor(), std::vector<int32_t>{0, 0, 0, -4}, weight.weight(), drawn),
                  "[embedding] Expected ids in [-3, 37) for `ids` but received -4 at index 3");
    });
    const Matrix result = y.read();
    for (int64_t m = 0; m < 3; ++m) {
      for (int64_t k = 0; k < 150; ++k)
        CHECK_EQ(result(m, k), rounded(backend->compute_dtype(), w(std::array{7, 4, 30}[static_cast<size_t>(m)], k)));
    }
  }
}

TEST("embedding_dw sums repeated ids in ascending order") {
  const Matrix start = Matrix::random(37, 150, 1), dy = Matrix::random(200, 150, 2);
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < 200; ++i) ids.push_back(i % 3 == 0 ? 36 : i * 7 % 37);
  Matrix expected = start;
  for (int64_t m = 0; m < 200; ++m) {
    for (int64_t k = 0; k < 150; ++k) expected(ids[static_cast<size_t>(m)], k) += dy(m, k);
  }
  for (const auto& equals : equal_backends()) {
    for (const auto& backend : equals) {
      const DeviceGradient dw(*backend, start);
      const DeviceMatrix gradient(*backend, dy, 2);
      backend->embedding_dw(dw.weight(), ids, gradient.tensor());
      CHECK(dw.read().values == expected.values);
    }
  }
}

TEST("embedding refuses ids out of range") {
  const auto backend = backends().front();
  const DeviceWeight weight(*backend, Matrix(10, 4));
  const DeviceGradient gradient(*backend, Matrix(10, 4));
  const DeviceMatrix y(*backend, Matrix(2, 4));
  for (int32_t id : {-1, 10}) {
    const std::vector<int32_t> ids = {0, id};
    CHECK_ERROR(backend->embedding(y.tensor(), ids, weight.weight()),
                "[embedding] Expected ids in [0, 10) for `ids` but received " + std::to_string(id) + " at index 1");
    CHECK_ERROR(backend->embedding_dw(gradient.weight(), ids, y.tensor()), "[embedding_dw] Expected ids in [0, 10)");
  }
  const std::vector<int32_t> three = {0, 1, 2};
  CHECK_ERROR(backend->embedding(y.tensor(), three, weight.weight()), "[embedding] Expected shape [3, 4] for `y`");
}

}  // namespace
}  // namespace ajet::test
