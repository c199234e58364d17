// The bench binary's figures, at small scale on the CPU: each runs and reports, and counts the work that is done.
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "check.h"
#include "command_line.h"
#include "figure.h"
#include "group_step.h"
#include "shapes.h"
#include "train/head_pass.h"
#include "work.h"

namespace ajet::test {
namespace {

using namespace bench;

std::vector<Json> lines_of(std::istream& text) {
  std::vector<Json> lines;
  for (std::string line; std::getline(text, line);) lines.push_back(Json::parse(line));
  return lines;
}

std::vector<Json> run(const std::vector<std::string>& arguments) {
  std::vector<std::string> all{"--device", "cpu", "--threads", "2", "--scale", "small", "--seconds", "0"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  const Command command = parse_command(all);
  std::stringstream out;
  Bench bench(command.options, out);
  for (const Figure& figure : command.figures) figure.run(bench);
  return lines_of(out);
}

double number(const Json& line, const char* key) {
  double value = 0;
  const Json* found = line.find(key);
  if (found == nullptr || !found->get_number(value))
    fail_at(__FILE__, __LINE__, "no number ", key, " in ", line.dump());
  return value;
}

std::string text(const Json& line, const char* key) {
  const Json* found = line.find(key);
  if (found == nullptr || found->get<std::string>() == nullptr) fail_at(__FILE__, __LINE__, "no text ", key);
  return *found->get<std::string>();
}

// The tree of a group, token by token.
ForwardWork counted_work(const GroupShape& shape) {
  const GroupStep group(shape, 512);
  const StepBatch batch = group.batch();
  const TokenTree tree = build_token_tree(batch.calls);
  ForwardWork work;
  for (const TreePart& part : cut_tree(tree, 1 << 20)) {
    work.tokens += static_cast<double>(part.tokens.size());
    for (const int32_t position : part.positions) work.pairs += position + 1.0;
    for (const PartSegment& segment : cut_part(part, 1 << 20))
      work.head_rows += static_cast<double>(HeadRows(tree, segment).rows());
  }
  return work;
}

}  // namespace

TEST("bench: every figure runs on the CPU and reports times and work") {
  const std::vector<Json> lines = run({"copy", "product", "attention", "norms", "adamw", "head", "long"});
  std::set<std::string> names, seen;
  for (const Json& line : lines) {
    CHECK(names.insert(text(line, "figure") + text(line, "name")).second);
    seen.insert(text(line, "figure"));
    CHECK_EQ(text(line, "side"), std::string("ajet"));
    CHECK(number(line, "best_seconds") > 0 && number(line, "seconds") >= number(line, "best_seconds"));
    CHECK(number(line, "samples") >= 3);
    CHECK((line.find("bytes") != nullptr) != (line.find("flops") != nullptr));
  }
  CHECK_EQ(seen.size(), size_t{7});
}

TEST("bench: a group's work is its tree's, token by token") {
  for (const GroupShape& shape : {GroupShape{16, 24, 4}, GroupShape{1, 9, 1}, GroupShape{5, 2, 3}}) {
    const ForwardWork actual = group_work(shape.prompt, shape.response, shape.responses),
                      expected = counted_work(shape);
    CHECK_EQ(actual.tokens, expected.tokens);
    CHECK_EQ(actual.pairs, expected.pairs);
    CHECK_EQ(actual.head_rows, expected.head_rows);
  }
}

TEST("bench: FLOPs are two for each weight and token, and four for each key's component") {
  const ModelConfig shape = model_shape("qwen3-0.6b");
  // Every matrix is used once for a token: with one row of logits a token, tied heads count once.
  const int64_t norms = shape.layers * (2 * shape.hidden_size + 2 * shape.head_dim) + shape.hidden_size;
  const auto matrices = static_cast<double>(shape.parameters() - norms);
  CHECK_EQ(forward_flops(shape, {.tokens = 7, .pairs = 0, .head_rows = 7}), 2 * 7 * matrices);
  CHECK_EQ(forward_flops(shape, {.tokens = 0, .pairs = 3, .head_rows = 0}), 4.0 * 28 * 16 * 128 * 3);
  CHECK_EQ(shape.parameters(), 596049920);  // as published
  CHECK_EQ(model_shape("qwen2.5-1.5b").parameters(), 1543714304);
}

TEST("bench: an update computes the tokens that its work counts, under the sampler's own log-probs") {
  for (const Json& line : run({"update"})) {
    const std::string name = text(line, "name");
    const GroupShape shape = name.ends_with("4 x (16 + 24)") ? GroupShape{16, 24, 4} : GroupShape{48, 12, 4};
    CHECK(name.ends_with(shape.text()));
    CHECK_EQ(number(line, "tokens_computed"), group_work(shape.prompt, shape.response, shape.responses).tokens);
    CHECK_EQ(number(line, "logprob_max_abs_diff"), 0.0);
    CHECK_EQ(number(line, "logprobs_compared"), number(line, "tokens"));
    CHECK(number(line, "peak_bytes") > 0);
  }
}

TEST("bench: an update may save memory in the ways that the trainer has") {
  const std::vector<Json> lines = run({"long"});
  CHECK_EQ(lines.size(), size_t{3});
  CHECK(text(lines[1], "name").ends_with(", layers recomputed"));
  CHECK(number(lines[0], "tokens_recomputed") == 0 && number(lines[1], "tokens_recomputed") > 0);
  CHECK(number(lines[1], "peak_bytes") < number(lines[0], "peak_bytes"));
  CHECK_EQ(number(lines[1], "grad_norm"), number(lines[0], "grad_norm"));
  const Json only = run({"long", "--recompute", "none", "--offload", "moments"}).at(0);
  CHECK(text(only, "name").ends_with(", moments in host memory"));
}

TEST("bench: the twin's inputs are the models and tokens of the figures") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / ("ajet-bench-" + std::to_string(getpid()));
  run({"update", "decode", "--models", "small-qwen3", "--exchange", folder});
  std::ifstream updates(folder / "inputs/update.jsonl"), decoding(folder / "inputs/decode.jsonl");
  const std::vector<Json> update = lines_of(updates), decode = lines_of(decoding);
  const auto model = Model::load(make_cpu_backend(1), folder / "models/small-qwen3");
  std::filesystem::remove_all(folder);
  CHECK_EQ(update.size(), size_t{2});
  CHECK_EQ(update[0].find("logprobs")->get<Json::Array>()->size(), size_t{4});
  CHECK_EQ(decode.size(), size_t{2});
  CHECK_EQ(decode[0].find("greedy")->get<Json::Array>()->size(), size_t{24});
  CHECK_EQ(decode[1].find("prompts")->get<Json::Array>()->size(), size_t{6});
  CHECK_EQ(model->config().layers, 2);
}

TEST("bench: what cannot be measured is refused with what can") {
  CHECK_ERROR(parse_command({}), "Expected one of all, copy, product");
  CHECK_ERROR(parse_command({"speed"}), "received \"speed\"");
  CHECK_ERROR(parse_command({"copy", "--scale", "large"}), "Expected one of full, small for --scale");
  CHECK_ERROR(parse_command({"copy", "--seconds", "1s"}), "Expected a number from 0 on for --seconds");
  CHECK_ERROR(parse_command({"copy", "--batch-tokens", "0"}), "Expected a number from 1 on for --batch-tokens");
  CHECK_ERROR(parse_command({"update", "--recompute", "all"}), "Expected one of none, layers for --recompute");
  CHECK_ERROR(parse_command({"update", "--offload", "all"}), "Expected one of none, moments, moments_and_master");
  CHECK_ERROR(parse_command({"copy", "--fast", "1"}), "Unknown option --fast");
  CHECK_ERROR(parse_command({"copy", "--device"}), "Expected a value behind --device");
  CHECK_ERROR(run({"update", "--models", "gpt"}), "Expected one of qwen2.5-1.5b, qwen3-0.6b");
  CHECK_ERROR(run({"copy", "--device", "cuda:1000"}), "`cuda:1000` cannot be used");
}

}  // namespace ajet::test
