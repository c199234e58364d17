// Speed of the linear layer's three products on the CPU, in GF/s and as a share of the measured FMA peak.
//   ajet_bench_gemm [--threads N] [--isa NAME] [--seconds S] [--shared] [--worker] [tiny | qwen | m,k,n]...
// A time is the median of calls repeated for S seconds; the operands stay where the caches keep them. --shared, for a
// machine that others use too: the shortest call, in CPU time of the process a thread. --worker: shapes come from
// stdin, times go to stdout, a JSON line each.
#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
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
  bool worker = false;
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

// The first half of S seconds is a warm-up: the scheduler may have both threads on one core.
double seconds_a_call(const Options& options, const std::function<void()>& call) {
  const double begin = now(options);
  do call();
  while (now(options) - begin < options.seconds / 2);
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

enum class Product { forward, dx, dw };
constexpr std::array product_names = {"forward", "dx", "dw"};

double measure(Backend& backend, const Options& options, const Shape& s, Product product) {
  const Buffer x_data = random_matrix(backend, s.m, s.k, 1), y_data = random_matrix(backend, s.m, s.n, 2);
  const Tensor x = matrix(x_data, s.m, s.k), y = matrix(y_data, s.m, s.n);
  const Buffer w_data = backend.allocate(static_cast<size_t>(backend.weight_elements(s.n, s.k)) * sizeof(float));
  const Weight w{w_data.data(), DType::f32, s.n, s.k};
  std::vector<float> row(static_cast<size_t>(s.k));
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<float>(uniform_double(3, i) - 0.5);
  for (int64_t n = 0; n < s.n; ++n) backend.write_weight_rows(w, n, 1, row.data());
  switch (product) {
    case Product::forward: return seconds_a_call(options, [&] { backend.linear(y, x, w); });
    case Product::dx: return seconds_a_call(options, [&] { backend.linear_dx(x, y, w, false); });
    case Product::dw: return seconds_a_call(options, [&] { backend.linear_dw(w, {}, y, x); });
  }
  return 0;
}

void print_rates(Backend& backend, const Options& options, const Shape& s, double peak) {
  const double gigaflop = 2e-9 * static_cast<double>(s.m) * static_cast<double>(s.k) * static_cast<double>(s.n);
  std::printf("%5ld %5ld %6ld", s.m, s.k, s.n);
  for (const Product product : {Product::forward, Product::dx, Product::dw}) {
    const double rate = gigaflop / measure(backend, options, s, product);
    std::printf("  %7.1f (%3.0f %%)", rate, 100 * rate / peak);
  }
  std::printf("\n");
  std::fflush(stdout);
}

// One side of bench/figures/matmul.mjs.
int answer_requests(Backend& backend, Options options, double peak) {
  std::printf("{\"ready\": \"ajet_bench_gemm, %s; FMA peak %.0f GF/s\", \"peak\": %.5g}\n",
              backend.description().c_str(), peak, peak);
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    Shape s{};
    char name[16] = "";
    const char* request = R"({"op":"%15[a-z]","m":%ld,"k":%ld,"n":%ld,"seconds":%lf})";
    const int read = std::sscanf(line.c_str(), request, name, &s.m, &s.k, &s.n, &options.seconds);
    const auto product = std::ranges::find(product_names, std::string_view(name));
    if (read != 5 || product == product_names.end()) {
      std::fprintf(stderr, "expected a line like %s but received %s\n", request, line.c_str());
      return 2;
    }
    const double seconds = measure(backend, options, s, static_cast<Product>(product - product_names.begin()));
    std::printf("{\"seconds\": %.9g}\n", seconds);
    std::fflush(stdout);
  }
  return 0;
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
    } else if (argument == "--worker") {
      options.worker = true;
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
  if (options.worker) return answer_requests(*backend, options, peak);
  std::printf("%s; FMA peak %.1f GF/s\n", backend->description().c_str(), peak);
  std::printf("    m     k      n  %15s  %15s  %15s\n", "forward", "dx", "dw");
  for (const Shape& shape : options.shapes) print_rates(*backend, options, shape, peak);
  return 0;
}
