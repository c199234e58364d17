#include <algorithm>
#include <cstdint>

#include "check.h"
#include "matrices.h"

using namespace ajet;
using namespace ajet::test;

TEST("weights round trip in any row ranges") {
  const auto backend = make_cpu_backend(2);
  for (int64_t rows : {1, 15, 16, 17, 50}) {
    const Matrix host = Matrix::random(rows, 23, 1);
    const DeviceWeight weight(*backend, Matrix(rows, 23));
    CHECK_EQ(weight.elements(), (rows + 15) / 16 * 16 * 23);
    for (int64_t first = 0; first < rows; first += 7) {  // pieces that start and end within panels
      const int64_t count = std::min<int64_t>(7, rows - first);
      backend->write_weight_rows(weight.weight(), first, count, host.values.data() + first * 23);
    }
    CHECK(weight.read().values == host.values);
    for (int64_t first = 0; first < rows; first += 5) {
      const int64_t count = std::min<int64_t>(9, rows - first);
      std::vector<float> part(static_cast<size_t>(count * 23));
      backend->read_weight_rows(part.data(), weight.weight(), first, count);
      CHECK(std::equal(part.begin(), part.end(), host.values.begin() + first * 23));
    }
    backend->write_weight_rows(weight.weight(), 0, rows, std::vector<float>(host.values.size()).data());
    CHECK_EQ(weight.storage_norm1(), 0.0);
  }
}

TEST("weights refuse rows outside") {
  const auto backend = make_cpu_backend(1);
  const DeviceWeight weight(*backend, Matrix(10, 4));
  std::vector<float> host(40);
  CHECK_ERROR(backend->write_weight_rows(weight.weight(), 5, 6, host.data()),
              "[write_weight_rows] Expected rows within 10");
  CHECK_ERROR(backend->read_weight_rows(host.data(), weight.weight(), -1, 2),
              "[read_weight_rows] Expected rows within 10");
}

TEST("memory is zeroed aligned and counted") {
  const auto backend = make_cpu_backend(2);
  const size_t before = backend->memory().active_bytes;
  for (size_t bytes : {size_t{1}, size_t{4096}, size_t{5} << 20, (size_t{9} << 20) + 12}) {
    const Buffer buffer = backend->allocate(bytes);
    CHECK_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 256, 0U);
    CHECK_EQ(backend->memory().active_bytes, before + bytes);
    CHECK(backend->memory().peak_bytes >= before + bytes);
    auto* data = static_cast<unsigned char*>(buffer.data());
    CHECK(std::all_of(data, data + bytes, [](unsigned char byte) { return byte == 0; }));
    std::fill(data, data + bytes, static_cast<unsigned char>(0xAB));  // dirty what the allocator may hand out again
    backend->zero(data, bytes);
    CHECK(std::all_of(data, data + bytes, [](unsigned char byte) { return byte == 0; }));
    std::fill(data, data + bytes, static_cast<unsigned char>(0xAB));
  }
  CHECK_EQ(backend->memory().active_bytes, before);
  CHECK(backend->memory().peak_bytes >= before + (size_t{9} << 20));
}

TEST("memory that is not there is an error with the size") {
  const auto backend = make_cpu_backend(1);
  try {
    const Buffer buffer = backend->allocate(size_t{1} << 60);
    CHECK(false);
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::out_of_memory);
    CHECK(std::string(error.what()).find(std::to_string(size_t{1} << 60)) != std::string::npos);
  }
  CHECK_EQ(backend->memory().active_bytes, 0U);
}

TEST("a buffer keeps its backend alive") {
  Buffer buffer;
  {
    const auto backend = make_cpu_backend(1);
    buffer = backend->allocate(64);
  }
  buffer.f32()[15] = 1.0F;
  CHECK_EQ(buffer.bytes(), 64U);
}

TEST("backend describes itself and refuses unknown instruction sets") {
  CHECK_EQ(make_cpu_backend(1, "portable")->description(), std::string("cpu, 1 thread, portable"));
  CHECK_EQ(make_cpu_backend(2, "portable")->description(), std::string("cpu, 2 threads, portable"));
  CHECK_EQ(make_cpu_backend(1)->name(), std::string("cpu"));
  CHECK_ERROR(make_cpu_backend(1, "sse9"),
              "[cpu] Expected \"portable\", \"avx2\" or \"avx512\" for `isa` but received \"sse9\"");
}
