#include <algorithm>
#include <cstdint>

#include "backend_fixture.h"

namespace ajet::test {
namespace {

void check_round_trip(Backend& backend, const DeviceWeight& weight, const Matrix& host) {
  const int64_t rows = host.rows, cols = host.cols;
  CHECK(weight.elements() % 16 == 0 && weight.elements() >= rows * cols);
  for (int64_t first = 0; first < rows; first += 7) {  // pieces that start and end within panels
    const int64_t count = std::min<int64_t>(7, rows - first);
    backend.write_weight_rows(weight.weight(), first, count, host.values.data() + first * cols);
  }
  CHECK(weight.read().values == host.values);
  for (int64_t first = 0; first < rows; first += 5) {
    const int64_t count = std::min<int64_t>(9, rows - first);
    std::vector<float> part(static_cast<size_t>(count * cols));
    backend.read_weight_rows(part.data(), weight.weight(), first, count);
    CHECK(std::equal(part.begin(), part.end(), host.values.begin() + first * cols));
  }
  backend.write_weight_rows(weight.weight(), 0, rows, std::vector<float>(host.values.size()).data());
  CHECK_EQ(weight.storage_norm1(), 0.0);
}

TEST("weights and their master copies round trip in any row ranges") {
  for (const auto& backend : backends()) {
    for (int64_t rows : {1, 15, 16, 17, 50}) {
      Matrix host = Matrix::random(rows, 23, 1);
      check_round_trip(*backend, DeviceGradient(*backend, Matrix(rows, 23)), host);
      host.values = rounded(*backend, host.values);
      check_round_trip(*backend, DeviceWeight(*backend, Matrix(rows, 23)), host);
    }
  }
}

TEST("weights refuse rows outside") {
  const auto backend = backends().front();
  const DeviceWeight weight(*backend, Matrix(10, 4));
  std::vector<float> host(40);
  CHECK_ERROR(backend->write_weight_rows(weight.weight(), 5, 6, host.data()),
              "[write_weight_rows] Expected rows within 10");
  CHECK_ERROR(backend->read_weight_rows(host.data(), weight.weight(), -1, 2),
              "[read_weight_rows] Expected rows within 10");
}

TEST("memory is zeroed aligned and counted") {
  for (const auto& backend : backends()) {
    const size_t before = backend->memory().active_bytes;
    for (size_t bytes : {size_t{1}, size_t{4096}, size_t{5} << 20, (size_t{9} << 20) + 12}) {
      const Buffer buffer = backend->allocate(bytes);
      CHECK_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 256, 0U);
      CHECK_EQ(backend->memory().active_bytes, before + bytes);
      CHECK(backend->memory().peak_bytes >= before + bytes);
      const auto holds = [&](unsigned char value) {
        std::vector<unsigned char> host(bytes);
        backend->download(host.data(), buffer.data(), bytes);
        return std::all_of(host.begin(), host.end(), [&](unsigned char byte) { return byte == value; });
      };
      const std::vector<unsigned char> dirt(bytes, 0xAB);  // the allocator may hand it out again
      CHECK(holds(0));
      backend->upload(buffer.data(), dirt.data(), bytes);
      CHECK(holds(0xAB));
      backend->zero(buffer.data(), bytes);
      CHECK(holds(0));
      backend->upload(buffer.data(), dirt.data(), bytes);
    }
    CHECK_EQ(backend->memory().active_bytes, before);
    CHECK(backend->memory().peak_bytes >= before + (size_t{9} << 20));
  }
}

TEST("memory is copied in the order of the calls") {
  for (const auto& backend : backends()) {
    const int64_t count = 3 << 20;  // larger than any staging buffer
    Floats first = random_floats(1, count), second = random_floats(2, count), read(static_cast<size_t>(count));
    const Floats expected = first;
    const size_t bytes = first.size() * sizeof(float);
    const Buffer a = backend->allocate(bytes), b = backend->allocate(bytes);
    backend->upload(a.data(), first.data(), bytes);
    std::ranges::fill(first, 0.0F);  // may change as soon as upload returns
    backend->copy(b.data(), a.data(), bytes);
    backend->upload(a.data(), second.data(), bytes);
    backend->download(read.data(), b.data(), bytes);
    CHECK(same_bits(read, expected));
    backend->download(read.data(), a.data(), bytes);
    CHECK(same_bits(read, second));
  }
}

TEST("memory that is not there is an error with the size") {
  const auto backend = backends().front();
  const size_t before = backend->memory().active_bytes;
  try {
    const Buffer buffer = backend->allocate(size_t{1} << 60);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    CHECK(std::string(error.what()).find(std::to_string(size_t{1} << 60)) != std::string::npos);
  }
  CHECK_EQ(backend->memory().active_bytes, before);
}

TEST("a buffer keeps its backend alive") {
  Buffer buffer;
  {
    const auto backend = backends().front();
    buffer = backend->allocate(64);
  }
  CHECK_EQ(buffer.bytes(), 64U);
  buffer = Buffer();
}

}  // namespace
}  // namespace ajet::test
