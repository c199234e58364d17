// Speed of the engine: tokens a second while all requests decode, and of the prefill before.
//   ajet_bench_engine [--threads N] [--prompt TOKENS] [--tokens TOKENS] [--json] [--requests 1,16,64]
//                     [tiny | qwen2.5-0.5b | folder of a Hugging Face model]...
// tiny and qwen2.5-0.5b are shapes with random weights. Every request has a prompt of its own.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/rng.h"
#include "infer/engine.h"

namespace {

using namespace ajet;

struct Options {
  int threads = 0;
  int32_t prompt = 128, tokens = 128;
  bool json = false;
  std::vector<int32_t> requests = {1, 16, 64};
  std::vector<std::string> models;
};

struct Measurement {
  double prefill_tokens_per_second, decode_tokens_per_second, step_milliseconds;
};

ModelConfig shape_of(const std::string& name) {
  ModelConfig shape;
  shape.model_type = name == "tiny" ? "qwen3" : "qwen2";
  shape.max_position_embeddings = 4096;
  shape.tie_word_embeddings = true;
  if (name == "tiny") {
    shape.vocab_size = 2048;
    shape.hidden_size = 128;
    shape.intermediate_size = 384;
    shape.layers = 4;
    shape.heads = 4;
    shape.kv_heads = 2;
    shape.head_dim = 32;
    shape.qk_norm = true;
  } else {
    shape.vocab_size = 151936;
    shape.hidden_size = 896;
    shape.intermediate_size = 4864;
    shape.layers = 24;
    shape.heads = 14;
    shape.kv_heads = 2;
    shape.head_dim = 64;
    shape.qkv_bias = true;
    shape.rope_theta = 1e6;
  }
  return shape;
}

std::shared_ptr<Model> open_model(const std::string& name, int threads) {
  auto backend = make_cpu_backend(threads);
  if (name == "tiny" || name == "qwen2.5-0.5b") return Model::random(std::move(backend), shape_of(name), 1);
  return Model::load(std::move(backend), name);
}

Request make_request(const Options& options, uint64_t id, int64_t vocab) {
  Request request;
  request.id = id;
  for (int32_t i = 0; i < options.prompt; ++i) {
    const auto bits = philox4x32(id, static_cast<uint64_t>(i))[0];
    request.prompt.push_back(static_cast<int32_t>(bits % static_cast<uint64_t>(vocab)));
  }
  request.sampling.max_tokens = options.tokens;
  request.sampling.seed = id;
  return request;
}

Measurement measure(const std::shared_ptr<Model>& model, const Options& options, int32_t requests) {
  EngineConfig config;
  config.max_sequences = requests;
  config.kv_blocks = static_cast<int64_t>(requests) * ((options.prompt + options.tokens) / kv_block_tokens + 2);
  Engine engine(model, config);
  for (int32_t id = 0; id < requests; ++id)
    engine.submit(make_request(options, static_cast<uint64_t>(id), model->config().vocab_size));

  using Clock = std::chrono::steady_clock;
  const auto seconds_since = [](Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  std::vector<TokenEvent> events;
  const uint64_t prompt_tokens = engine.stats().prompt_tokens;
  auto start = Clock::now();
  // The first to be prefilled decode meanwhile; what they do here counts in neither rate.
  const auto prefilled = [&] { return engine.stats().prefill_tokens + engine.stats().prefix_hit_tokens; };
  while (prefilled() < prompt_tokens && engine.has_work()) engine.step(events);
  const double prefill_seconds = seconds_since(start);

  std::vector<double> step_seconds;
  size_t decoded = 0;
  start = Clock::now();
  while (engine.stats().running == requests) {
    const auto step_start = Clock::now();
    events.clear();
    engine.step(events);
    decoded += events.size();
    step_seconds.push_back(seconds_since(step_start));
  }
  if (step_seconds.empty()) throw std::runtime_error("--tokens is too small: no step had all requests decoding");
  const double decode_seconds = seconds_since(start);
  const auto median = step_seconds.begin() + static_cast<std::ptrdiff_t>(step_seconds.size() / 2);
  std::nth_element(step_seconds.begin(), median, step_seconds.end());
  return {static_cast<double>(prompt_tokens) / prefill_seconds, static_cast<double>(decoded) / decode_seconds,
          1e3 * *median};
}

void report(const std::string& name, const Options& options, int32_t requests, const Measurement& m) {
  const char* format =
      options.json ? "{\"model\": \"%s\", \"requests\": %d, \"prompt\": %d, \"tokens\": %d, "
                     "\"prefill_tokens_per_second\": %.1f, \"decode_tokens_per_second\": %.1f, \"step_ms\": %.4f}\n"
                   : "%-16s %8d %7d %7d %14.0f %14.0f %10.3f\n";
  std::printf(format, name.c_str(), requests, options.prompt, options.tokens, m.prefill_tokens_per_second,
              m.decode_tokens_per_second, m.step_milliseconds);
  std::fflush(stdout);
}

std::vector<int32_t> parse_list(const std::string& text) {
  std::vector<int32_t> values;
  std::istringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) values.push_back(std::atoi(item.c_str()));
  return values;
}

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    const auto value = [&] { return i + 1 < argc ? std::string(argv[++i]) : std::string(); };
    if (argument == "--threads") {
      options.threads = std::atoi(value().c_str());
    } else if (argument == "--prompt") {
      options.prompt = std::max(1, std::atoi(value().c_str()));
    } else if (argument == "--tokens") {
      options.tokens = std::max(2, std::atoi(value().c_str()));
    } else if (argument == "--requests") {
      options.requests = parse_list(value());
    } else if (argument == "--json") {
      options.json = true;
    } else {
      options.models.push_back(argument);
    }
  }
  if (options.models.empty()) options.models.emplace_back("tiny");
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  try {
    if (!options.json) {
      std::printf("%s\n", make_cpu_backend(options.threads)->description().c_str());
      std::printf("%-16s %8s %7s %7s %14s %14s %10s\n", "model", "requests", "prompt", "tokens", "prefill tok/s",
                  "decode tok/s", "step ms");
    }
    for (const std::string& name : options.models) {
      const auto model = open_model(name, options.threads);
      for (const int32_t requests : options.requests)
        report(name, options, requests, measure(model, options, requests));
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
