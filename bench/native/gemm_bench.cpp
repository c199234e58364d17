// Speed of the linear layer's three products on the CPU, in GF/s and as a share of the measured FMA peak.
//   ajet_bench_gemm [--threads N] [--isa NAME] [--seconds S] [--shared] [--json] [tiny | qwen | m,k,n]...
// A time is the median of calls repeated for S seconds; the operands stay where the caches keep them. --shared, for a
// machine that others use too: the shortest call, in CPU time of the process a thread.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "fma_peak.h"

namespace {

using namespace ajet;

struct Shape {
  int64_t m, k, n;
};

struct Options {
  int threads = 0;
  std::string isa;
  double seconds = 0.2;
  bool json = false;
  bool shared = false;
  std::vector<Shape> shapes;
};

// The shapes of ajet-tiny: q|k|v, o, gate|up, down, and the LM head.
std::vector<Shape> tiny_shapes() {
  std::vector<Shape> shapes;
  for (int64_t m : {1, 16, 64, 512, 4096}) {
    for (const auto& [k, n] : {std::pair{192, 320}, {192, 192}, {192, 1024}, {512, 192}, {192, 1536}})
      shapes.push_back({m, k, n});
  }
  return shapes;
}

// The shapes of Qwen2.5-0.5B: q|k|v, o, gate|up, down, and the LM head.
std::vector<Shape> qwen_shapes() {
  std::vector<Shape> shapes;
  for (int64_t m : {1, 16, 64, 512, 2048}) {
    for (const auto& [k, n] : {std::pair{896, 1152}, {896, 896}, {896, 9728}, {4864, 896}}) shapes.push_back({m, k, n});
    if (m <= 64) shapes.push_back({m, 896, 151936});
  }
  return shapes;
}

double now(const Options& options) {
  timespec time{};
  clock_gettime(options.shared ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return (static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec)) /
         (options.shared ? options.threads : 1);
}

double seconds_a_call(const Options& options, const std::function<void()>& call) {
  call();
  std::vector<double> times;
  double total = 0;
  while (times.size() < 5 || (total < options.seconds && times.size() < 100000)) {
    const double start = now(options);
    call();
    times.push_back(now(options) - start);
    total += times.back();
  }
  if (options.shared) return *std::min_element(times.begin(), times.end());
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

Buffer random_matrix(Backend& backend, int64_t rows, int64_t cols, uint64_t seed) {
  std::vector<float> host(static_cast<size_t>(rows * cols));
  for (size_t i = 0; i < host.size(); ++i) host[i] = static_cast<float>(uniform_double(seed, i) - 0.5);
  Buffer buffer = backend.allocate(host.size() * sizeof(float));
  backend.upload(buffer.data(), host.data(), host.size() * sizeof(float));
  return buffer;
}

Tensor matrix(const Buffer& buffer, int64_t rows, int64_t cols) {
  return {buffer.data(), DType::f32, rows, cols, cols};
}

void run(Backend& backend, const Options& options, const Shape& s, double peak) {
  const Buffer x = random_matrix(backend, s.m, s.k, 1);
  const Buffer dy = random_matrix(backend, s.m, s.n, 2);
  const Buffer dx = backend.allocate(static_cast<size_t>(s.m * s.k) * sizeof(float));
  const Buffer y = backend.allocate(static_cast<size_t>(s.m * s.n) * sizeof(float));
  const size_t weight_bytes = static_cast<size_t>(backend.weight_elements(s.n, s.k)) * sizeof(float);
  const Buffer w_data = backend.allocate(weight_bytes), dw_data = backend.allocate(weight_bytes);
  const Weight w{w_data.data(), DType::f32, s.n, s.k}, dw{dw_data.data(), DType::f32, s.n, s.k};
  std::vector<float> row(static_cast<size_t>(s.k));
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(uniform_double(3, i) - 0.5);
  for (int64_t n = 0; n < s.n; ++n) backend.write_weight_rows(w, n, 1, row.data());
  const double times[3] = {
      seconds_a_call(options, [&] { backend.linear(matrix(y, s.m, s.n), matrix(x, s.m, s.k), w); }),
      seconds_a_call(options,
                     [&] { backend.linear_dx(matrix(dx, s.m, s.k), matrix(dy, s.m, s.n), w, false); }),
      seconds_a_call(options, [&] { backend.linear_dw(dw, {}, matrix(dy, s.m, s.n), matrix(x, s.m, s.k)); })};
  const double gigaflop = 2e-9 * static_cast<double>(s.m) * static_cast<double>(s.k) * static_cast<double>(s.n);
  const char* names[3] = {"forward", "dx", "dw"};
  if (!options.json) std::printf("%5ld %5ld %6ld", s.m, s.k, s.n);
  for (int i = 0; i < 3; ++i) {
    const double rate = gigaflop / times[i];
    if (options.json) {
      std::printf(R"({"op": "%s", "m": %ld, "k": %ld, "n": %ld, "seconds": %.9g, "gflops": %.5g, "peak_gflops": %.5g})"
                  "\n", names[i], s.m, s.k, s.n, times[i], rate, peak);
    } else {
      std::printf("  %7.1f (%3.0f %%)", rate, 100 * rate / peak);
    }
  }
  if (!options.json) std::printf("\n");
  std::fflush(stdout);
}

Options parse(int argc, char** argv) {
  Options options;
  const auto append = [&](const std::vector<Shape>& shapes) {
    options.shapes.insert(options.shapes.end(), shapes.begin(), shapes.end());
  };
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    Shape shape{};
    if (argument == "--threads") {
      options.threads = std::atoi(value), ++i;
    } else if (argument == "--isa") {
      options.isa = value, ++i;
    } else if (argument == "--seconds") {
      options.seconds = std::atof(value), ++i;
    } else if (argument == "--shared") {
      options.shared = true;
    } else if (argument == "--json") {
      options.json = true;
    } else if (argument == "tiny" || argument == "all") {
      append(tiny_shapes());
      if (argument == "all") append(qwen_shapes());
    } else if (argument == "qwen") {
      append(qwen_shapes());
    } else if (std::sscanf(argument.c_str(), "%ld,%ld,%ld", &shape.m, &shape.k, &shape.n) == 3) {
      append({shape});
    } else {
      std::fprintf(stderr, "unknown argument %s\n", argument.c_str());
      std::exit(2);
    }
  }
  if (options.shapes.empty()) append(tiny_shapes()), append(qwen_shapes());
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  ThreadPool pool(options.threads);
  options.threads = pool.threads();
  const auto backend = make_cpu_backend(options.threads, options.isa);
  const double peak = fma_peak_gflops(pool);
  if (!options.json) {
    std::printf("%s; FMA peak %.1f GF/s\n", backend->description().c_str(), peak);
    std::printf("    m     k      n  %15s  %15s  %15s\n", "forward", "dx", "dw");
  }
  for (const Shape& shape : options.shapes) run(*backend, options, shape, peak);
  return 0;
}
