// Recorded work gives what the same work gives when it is not recorded, and runs as a graph where it comes again.
#include <functional>

#include "backend/cuda/argument_slots.h"
#include "backend/cuda/cuda_backend.h"
#include "backend_fixture.h"

namespace ajet::test {
namespace {

struct Counts {
  emulator::GraphCounts before = emulator::graph_counts();
  size_t made() const { return emulator::graph_counts().instantiated - before.instantiated; }
  size_t launched() const { return emulator::graph_counts().launched - before.launched; }
  size_t freed() const { return emulator::graph_counts().destroyed - before.destroyed; }
};

constexpr int64_t width = 24;

// Rows of a table picked into y, to which the table's first rows are added.
struct Picking {
  explicit Picking(cuda::CudaOptions options = {.compute_dtype = DType::f32})
      : backend(cuda::make_cuda_backend(options)),
        table(random_floats(1, 50 * width)),
        x(*backend, 50, width, table),
        y(*backend, 4, width) {}

  void run(const std::vector<int32_t>& rows, const std::function<void()>& between = [] {}, int64_t number = 4) {
    backend->run_recorded({this, number}, [&] {
      backend->gather_rows(y, x, rows);
      between();
      backend->add(y, x.tensor().slice_rows(0, 4));
    });
  }
  void check(const std::vector<int32_t>& rows, float times = 1.0F) const {
    const Floats values = y.values();
    for (int64_t i = 0; i < 4; ++i)
      for (int64_t c = 0; c < width; ++c) {
        float expected = table[rows[static_cast<size_t>(i)] * width + c];
        for (float t = 0; t < times; ++t) expected += table[i * width + c];
        CHECK_EQ(values[i * width + c], expected);
      }
  }

  std::shared_ptr<Backend> backend;
  Floats table;
  DeviceMatrix x, y;
};

TEST("graphs: made at the second use of a key, then launched with the new contents of host arrays") {
  Picking picking;
  const Counts counts;
  for (int32_t i = 0; i < 6; ++i) {
    const std::vector<int32_t> rows = {i, 49 - i, 7, 3 * i};
    picking.run(rows);
    CHECK_EQ(counts.made(), size_t{i >= 1 ? 1U : 0U});
    CHECK_EQ(counts.launched(), static_cast<size_t>(i));
    picking.check(rows);
  }
}

TEST("graphs: two runs under way at once keep their own arrays") {
  Picking picking;
  const DeviceMatrix other(*picking.backend, 4, width);
  const std::vector<int32_t> first = {1, 2, 3, 4}, second = {5, 6, 7, 8};
  for (int i = 0; i < 3; ++i) picking.run(first);
  picking.run(first);
  picking.backend->gather_rows(other, picking.y, std::vector<int32_t>{0, 1, 2, 3});  // nothing has run yet
  picking.run(second);
  picking.check(second);
  const Floats kept = other.values();
  for (int64_t c = 0; c < width; ++c) CHECK_EQ(kept[c], picking.table[width + c] + picking.table[c]);
}

TEST("graphs: an op more, less or other is done as asked, and the next run makes a new graph") {
  Picking picking;
  const std::vector<int32_t> rows = {9, 8, 7, 6};
  const auto add = [&] { picking.backend->add(picking.y, picking.x.tensor().slice_rows(0, 4)); };
  const auto swiglu = [&] {
    const DeviceMatrix unused(*picking.backend, 1, 8), gate(*picking.backend, 1, 8);
    picking.backend->swiglu(unused, gate, gate);
  };
  for (int i = 0; i < 3; ++i) picking.run(rows);
  const Counts counts;
  picking.run(rows, add);
  picking.check(rows, 2);
  CHECK_EQ(counts.launched(), size_t{0});
  for (int i = 0; i < 2; ++i) {
    picking.run(rows, add);
    picking.check(rows, 2);
  }
  CHECK(counts.made() == 1 && counts.launched() == 2);
  picking.run(rows);  // less
  picking.check(rows);
  picking.run(rows);
  picking.run(rows);
  picking.check(rows);
  CHECK(counts.made() == 2 && counts.launched() == 4);
  picking.run(rows, swiglu);  // other, and memory taken in between
  picking.check(rows);
}

TEST("graphs: another tensor of the same shape is another argument") {
  Picking picking;
  const DeviceMatrix other(*picking.backend, 4, width);
  const std::vector<int32_t> rows = {9, 8, 7, 6};
  const auto run = [&](Tensor y) {
    picking.backend->run_recorded({&picking, 1}, [&] { picking.backend->gather_rows(y, picking.x, rows); });
  };
  for (int i = 0; i < 3; ++i) run(picking.y);
  const Counts counts;
  run(other);
  CHECK_EQ(counts.launched(), size_t{0});
  CHECK_EQ(other.values()[0], picking.table[9 * width]);
  run(other);
  CHECK_EQ(counts.made(), size_t{1});
}

TEST("graphs: what is not a kernel comes in its place, and the work goes on without a graph") {
  Picking picking;
  const std::vector<int32_t> rows = {9, 8, 7, 6};
  const Counts counts;
  Floats seen(4 * (width + 3));
  for (int i = 0; i < 4; ++i) {
    picking.run(rows, [&] {
      picking.backend->download(seen.data(), picking.y.tensor().data, seen.size() * sizeof(float));
      CHECK_EQ(seen[0], picking.table[9 * width]);
      picking.backend->zero(picking.y.tensor().data, width * sizeof(float));
    });
    CHECK_EQ(picking.y.values()[0], picking.table[0]);
  }
  CHECK_EQ(counts.made(), size_t{0});
}

TEST("graphs: what was launched before work throws is queued") {
  Picking picking;
  const std::vector<int32_t> rows = {9, 8, 7, 6};
  picking.run(rows);
  for (int i = 0; i < 3; ++i) {
    picking.backend->zero(picking.y.tensor().data, width * sizeof(float));
    CHECK_ERROR(picking.run(rows, [] { fail(ErrorCode::internal, "on purpose"); }), "on purpose");
    CHECK_EQ(picking.y.values()[0], picking.table[9 * width]);
    picking.run(rows);
    picking.check(rows);
  }
}

// A decode pass's attention: the block table grows with the sequence.
TEST("graphs: arrays have room to grow; beyond it a new graph is made") {
  const auto backend = cuda::make_cuda_backend({.compute_dtype = DType::f32});
  const AttentionShape shape{2, 1, 8, 0.5F};
  constexpr int32_t blocks = 200;
  const Buffer memory = backend->allocate(backend->kv_cache_bytes(blocks, 1, 1, 8));
  const KvCache cache{memory.data(), DType::f32, blocks, 1, 1, 8};
  std::vector<int32_t> table(blocks);
  for (int32_t b = 0; b < blocks; ++b) table[static_cast<size_t>(b)] = b;
  {
    const DeviceMatrix k(*backend, blocks * 16, 8, random_floats(1, blocks * 16 * 8)),
        v(*backend, blocks * 16, 8, random_floats(2, blocks * 16 * 8));
    std::vector<int32_t> positions(blocks * 16);
    for (int32_t p = 0; p < blocks * 16; ++p) positions[static_cast<size_t>(p)] = p;
    const std::vector<int32_t> offsets = {0, blocks * 16}, start = {0}, block_offsets = {0, blocks};
    backend->kv_write(cache, 0, k, v, {offsets, start, block_offsets, table, positions});
  }
  const DeviceMatrix q(*backend, 1, 16, random_floats(3, 16)), o(*backend, 1, 16), expected(*backend, 1, 16);
  const Counts counts;
  size_t graphs = 0;
  // 64 entries of the table have room from the start, then 128, then 256.
  for (const int32_t position : {5, 100, 700, 1023, 1024, 1100, 1101, 40, 2047, 3000, 3001, 3002, 3}) {
    const auto attend = [&](Tensor out) {
      const std::vector<int32_t> offsets = {0, 1}, start = {position}, block_offsets = {0, position / 16 + 1};
      backend->attention_paged(
          out, q, cache, 0,
          {offsets, start, block_offsets, std::span(table).first(static_cast<size_t>(position / 16 + 1)), start},
          shape);
    };
    attend(expected);
    backend->run_recorded({&shape, 1}, [&] { attend(o); });
    CHECK(same_bits(o.values(), expected.values()));
    graphs += position == 100 || position == 1100 || position == 3001 ? 1 : 0;
    CHECK_EQ(counts.made(), graphs);
  }
  CHECK_EQ(counts.launched(), size_t{13 - 3});  // but for the first use and the two for which there was no room
}

TEST("graphs: scratch of recorded work has its own memory, which grows as it is needed") {
  const auto backend = cuda::make_cuda_backend({});
  const DeviceWeight weight(*backend, Matrix::random(40, 512, 1));
  const Matrix values = Matrix::random(70, 512, 2);
  const DeviceMatrix x(*backend, values), y(*backend, 70, 40), expected(*backend, 70, 40);  // f32: copied to be read
  backend->linear(expected, x, weight.weight());
  const Counts counts;
  for (int i = 0; i < 6; ++i) {
    backend->run_recorded({&x, 70}, [&] { backend->linear(y, x, weight.weight()); });
    const Buffer other = backend->allocate(100 << 10);  // where scratch of no recording would be
    backend->zero(other.data(), other.bytes());
    CHECK(same_bits(y.values(), expected.values()));
  }
  CHECK(counts.made() == 1 && counts.launched() >= 3);
}

TEST("graphs: those used least recently are forgotten, and all of them before memory is short") {
  constexpr size_t limit = 16 << 20;
  Picking picking({.compute_dtype = DType::f32, .memory_limit_bytes = limit});
  const std::vector<int32_t> rows = {9, 8, 7, 6};
  const auto kept = static_cast<int64_t>(cuda::GraphRecorder::max_graphs);
  const Counts counts;
  for (int64_t number = 0; number < kept + 5; ++number)
    for (int i = 0; i < 2; ++i) picking.run(rows, [] {}, number);
  CHECK_EQ(counts.made() - counts.freed(), static_cast<size_t>(kept));
  const size_t made = counts.made();
  picking.run(rows, [] {}, 10);
  CHECK_EQ(counts.made(), made);

  // All but what the graphs use.
  const Buffer rest = picking.backend->allocate(limit - picking.backend->memory().active_bytes + (64 << 10));
  CHECK_EQ(counts.freed(), counts.made());
  picking.run(rows, [] {}, 10);
  picking.check(rows);
  CHECK_ERROR(picking.backend->allocate(limit), "there are too few");
}

TEST("graphs: recordings that share a size do not share results") {
  Picking one, two;
  const std::vector<int32_t> first = {1, 2, 3, 4}, second = {5, 6, 7, 8};
  for (int i = 0; i < 4; ++i) {
    one.run(first);
    two.run(second);
    one.check(first);
    two.check(second);
  }
}

TEST("argument slots: arrays that were equal once must be so again") {
  cuda::ArgumentSlots slots;
  std::vector<std::byte> block(1024);
  const std::vector<int32_t> a = {1, 2, 3}, b = {4, 5, 6}, longer(40, 7), too_long(70, 7);
  const auto place = [&](const std::vector<int32_t>& values) {
    return slots.place(block, values.data(), 4 * values.size());
  };
  const auto refill = [&](const std::vector<int32_t>& values) {
    return slots.refill(block, values.data(), 4 * values.size());
  };
  slots.rewind();
  CHECK(place(a) == 0U && place(b) == 256U && place(a) == 0U);
  CHECK_EQ(slots.block_bytes(), size_t{512});
  CHECK(place(too_long) == 512U);
  CHECK(!place(longer).has_value());  // no room
  slots.rewind();
  CHECK(refill(b) == 0U && refill(longer) == 256U && refill(b) == 0U);
  CHECK(refill(a) == 512U);
  CHECK(!refill(a).has_value());  // one more than there were
  slots.rewind();
  CHECK(refill(b) == 0U && refill(b) == 256U && !refill(a).has_value());
  slots.rewind();
  CHECK(!refill(too_long).has_value());
}

}  // namespace
}  // namespace ajet::test
