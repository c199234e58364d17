// The tree's loss and gradient against the same rows computed one at a time, unmerged and uncut, in float64.
#include <cmath>

#include "check.h"
#include "random_calls.h"
#include "reference_model.h"
#include "row_oracle.h"
#include "tiny_model.h"
#include "train/trainer.h"

namespace ajet::test {
namespace {

// One trained token of a row.
struct RowEntry {
  size_t call, index;  // of the sampled token
  size_t parent;       // position in the row's timeline that predicts it
  int32_t token;
  double temperature;
};

struct UnmergedRows {
  std::vector<Sequence> timeline;
  std::vector<std::vector<RowEntry>> entries;
  std::vector<int32_t> episode;
};

UnmergedRows unmerge(const std::vector<OwnedCall>& calls, const std::vector<uint8_t>& kept) {
  const RowOracle oracle(calls);
  UnmergedRows rows;
  for (size_t row = 0; row < calls.size(); ++row) {
    if (oracle.row_tokens[row] == 0 || kept[static_cast<size_t>(calls[row].episode)] == 0) continue;
    rows.timeline.push_back(calls[row].sequence());
    rows.episode.push_back(calls[row].episode);
    rows.entries.emplace_back();
    for (size_t c = 0; c < calls.size(); ++c) {
      if (oracle.row_call[c] != static_cast<int32_t>(row)) continue;
      for (size_t i = 0; i < calls[c].sampled.size(); ++i) {
        if (!calls[c].mask.empty() && calls[c].mask[i] == 0) continue;
        const double temperature = calls[c].temperature == 0.0F ? 1.0 : static_cast<double>(calls[c].temperature);
        rows.entries.back().push_back({c, i, calls[c].prompt.size() + i - 1, calls[c].sampled[i], temperature});
      }
    }
  }
  return rows;
}

struct Distribution {
  std::vector<double> p;
  double entropy = 0.0;
};

Distribution softmax(const double* logits, size_t count, double temperature) {
  Distribution d{std::vector<double>(count)};
  double total = 0.0;
  for (size_t v = 0; v < count; ++v) total += d.p[v] = std::exp(logits[v] / temperature);
  for (double& p : d.p) {
    p /= total;
    d.entropy -= p * std::log(p);
  }
  return d;
}

// Log-probs and entropies of each row's entries, flat in row order.
void score_rows(ReferenceModel& model, const UnmergedRows& rows, std::vector<float>& logprob,
                std::vector<float>& entropy) {
  for (size_t r = 0; r < rows.timeline.size(); ++r) {
    const Matrix logits = model.forward(rows.timeline[r]);
    for (const RowEntry& e : rows.entries[r]) {
      const Distribution d = softmax(logits.row(e.parent), logits.cols, e.temperature);
      logprob.push_back(static_cast<float>(std::log(d.p[static_cast<size_t>(e.token)])));
      entropy.push_back(static_cast<float>(d.entropy));
    }
  }
}

// Loss over the unmerged rows; gradients are left in `model`.
double unmerged_loss(ReferenceModel& model, ReferenceModel& frozen, const std::vector<OwnedCall>& calls,
                     const Advantages& advantages, const LossConfig& config) {
  const UnmergedRows rows = unmerge(calls, advantages.kept);
  std::vector<float> logprob, entropy, ref_logprob, ref_entropy, old_logprob;
  score_rows(model, rows, logprob, entropy);
  score_rows(frozen, rows, ref_logprob, ref_entropy);
  std::vector<int32_t> row;
  std::vector<int64_t> row_tokens;
  std::vector<double> advantage, log_ratio;
  size_t flat = 0;
  for (size_t r = 0; r < rows.timeline.size(); ++r) {
    row_tokens.push_back(static_cast<int64_t>(rows.entries[r].size()));
    log_ratio.push_back(0.0);
    for (const RowEntry& e : rows.entries[r]) {
      row.push_back(static_cast<int32_t>(r));
      advantage.push_back(advantages.values[static_cast<size_t>(rows.episode[r])]);
      old_logprob.push_back(calls[e.call].logprobs[e.index]);
      log_ratio.back() +=
          static_cast<double>(logprob[flat] - old_logprob[flat]) / static_cast<double>(row_tokens.back());
      ++flat;
    }
  }
  const std::vector<double> weight = entry_weights(config, row, row_tokens);
  std::vector<float> dlogprob(flat), dentropy(flat);
  const LossSums sums = policy_loss(config, {logprob, old_logprob, ref_logprob, entropy, advantage, weight, row},
                                    log_ratio, row_tokens, dlogprob, dentropy);
  flat = 0;
  for (size_t r = 0; r < rows.timeline.size(); ++r) {
    const Matrix logits = model.forward(rows.timeline[r]);
    Matrix dlogits(logits.rows, logits.cols);
    for (const RowEntry& e : rows.entries[r]) {
      const Distribution d = softmax(logits.row(e.parent), logits.cols, e.temperature);
      for (size_t v = 0; v < logits.cols; ++v) {
        const double chosen = v == static_cast<size_t>(e.token) ? 1.0 : 0.0;
        dlogits.row(e.parent)[v] += (static_cast<double>(dlogprob[flat]) * (chosen - d.p[v]) -
                                     static_cast<double>(dentropy[flat]) * d.p[v] * (std::log(d.p[v]) + d.entropy)) /
                                    e.temperature;
      }
      ++flat;
    }
    model.backward(dlogits);
  }
  return sums.loss;
}

// Old log-probs at a distance from the model's own that makes the preset's clip bite for part of the tokens.
void set_old_logprobs(Trainer& trainer, std::vector<OwnedCall>& calls, double spread, uint64_t seed) {
  std::vector<float> logprobs, entropies;
  trainer.score(views(calls), false, logprobs, entropies);
  uint64_t flat = 0;
  for (OwnedCall& call : calls) {
    for (float& old : call.logprobs) {
      old = logprobs[flat] + static_cast<float>(spread * normal_double(seed, flat));
      ++flat;
    }
  }
}

struct Scenario {
  std::string preset;
  uint64_t seed;
  double spread;  // of old log-probs around the model's
  int64_t max_batch_tokens;
  int64_t head_rows;  // rows of logits held at once
  bool tied;
  LossConfig config;
};

void check_scenario(const Scenario& s, int& clipped_steps) {
  RandomStepShape shape{
      .tasks = 2, .repeats = 3, .agents = 2, .turns = 2, .vocab = s.seed % 2 == 0 ? 3 : 13, .longest = 5};
  RandomStep step = random_step(s.seed, shape);
  auto model = tiny_model(s.seed, s.tied);
  TrainerConfig trainer_config;
  trainer_config.optimizer.learning_rate = 0.0;
  trainer_config.max_batch_tokens = s.max_batch_tokens;
  trainer_config.head_scratch_bytes = s.head_rows * model->config().vocab_size * 4;
  trainer_config.reference = s.config.kl != KlKind::none;
  Trainer trainer(model, trainer_config);
  ReferenceModel frozen(*model);
  if (trainer_config.reference) perturb(*model, 0.02, s.seed + 77);
  set_old_logprobs(trainer, step.calls, s.spread, s.seed);

  StepBatch batch;
  batch.calls = views(step.calls);
  if (s.config.kind != LossKind::cross_entropy) {
    batch.groups = step.groups;
    Random random(s.seed + 5);
    for (size_t e = 0; e < step.groups.size(); ++e)
      batch.rewards.push_back(random.chance(0.5) ? 1.0 : random.uniform());
  }
  const StepStats stats = trainer.step(batch, s.config);
  CHECK(stats.updated);

  ReferenceModel reference(*model);
  const double loss = unmerged_loss(reference, frozen, step.calls, {stats.advantages, stats.episodes_kept}, s.config);
  CHECK_LE(std::abs(stats.loss - loss), 1e-5 * std::max(std::abs(loss), 0.01));
  std::vector<float> actual;
  for (const ParameterSlice& slice : model->weights().layout().slices) {
    trainer.gradients().read(slice, actual);
    const double error = relative_error(actual, reference.gradients().at(slice.hf_name).values);
    if (!(error <= 1e-5))
      fail_at(__FILE__, __LINE__, s.preset, " seed ", s.seed, " budget ", s.max_batch_tokens, ": ", slice.hf_name,
              " differs by ", error);
  }
  clipped_steps += stats.clip_fraction > 0.0 && stats.clip_fraction < 1.0 ? 1 : 0;
}

void check_preset(const std::string& name, double spread, const std::function<void(LossConfig&)>& change, bool clips) {
  int clipped_steps = 0;
  for (uint64_t seed = 1; seed <= 6; ++seed) {
    Scenario s{name,     seed, spread, seed % 3 == 0 ? 4096 : (seed % 3 == 1 ? 24 : 1), seed % 2 == 0 ? 1000 : 3,
               seed > 3, {}};
    s.config = loss_preset(name);
    change(s.config);
    check_scenario(s, clipped_steps);
  }
  if (clips) CHECK(clipped_steps >= 2);
}

}  // namespace

TEST("reference model: its gradient equals central differences") {
  auto native = tiny_model(3, false);
  ReferenceModel model(*native);
  const Sequence tokens{1, 5, 5, 2, 9};
  const auto loss = [&](const Matrix& logits) {
    double sum = 0.0;
    for (size_t i = 0; i < logits.values.size(); ++i) sum += std::sin(static_cast<double>(i)) * logits.values[i];
    return sum;
  };
  Matrix dlogits = model.forward(tokens);
  for (size_t i = 0; i < dlogits.values.size(); ++i) dlogits.values[i] = std::sin(static_cast<double>(i));
  model.backward(dlogits);
  for (auto& [name, weight] : model.weights()) {
    for (size_t i = 0; i < weight.values.size(); i += 1 + weight.values.size() / 5) {
      const double kept = weight.values[i], step = 1e-5;
      weight.values[i] = kept + step;
      const double above = loss(model.forward(tokens));
      weight.values[i] = kept - step;
      const double below = loss(model.forward(tokens));
      weight.values[i] = kept;
      const double expected = (above - below) / (2 * step);
      CHECK_LE(std::abs(model.gradients().at(name).values[i] - expected), 1e-6 * std::max(1.0, std::abs(expected)));
    }
  }
}

TEST("merged tree: ajet equals the unmerged rows") {
  check_preset(
      "ajet", 0.3, [](auto&) {}, true);
}
TEST("merged tree: agentjet equals the unmerged rows") {
  check_preset(
      "agentjet", 0.8, [](auto&) {}, true);
}
TEST("merged tree: trl-grpo equals the unmerged rows") {
  check_preset(
      "trl-grpo", 0.3, [](auto&) {}, true);
}
TEST("merged tree: trl-dapo equals the unmerged rows") {
  check_preset(
      "trl-dapo", 0.3, [](auto&) {}, true);
}
TEST("merged tree: dr-grpo equals the unmerged rows") {
  check_preset(
      "dr-grpo", 0.3, [](auto& c) { c.max_response_length = 12.0; }, true);
}
TEST("merged tree: verl-grpo equals the unmerged rows") {
  check_preset(
      "verl-grpo", 0.8, [](auto&) {}, true);
}
TEST("merged tree: gspo equals the unmerged rows") {
  check_preset(
      "gspo", 5e-4, [](auto&) {}, true);
}
TEST("merged tree: cispo equals the unmerged rows") {
  check_preset(
      "cispo", 1.0, [](auto& c) { c.cispo_high = 2.0; }, true);
}
TEST("merged tree: sft equals the unmerged rows") {
  check_preset(
      "sft", 0.0, [](auto&) {}, false);
}
TEST("merged tree: entropy bonus and each KL equal the unmerged rows") {
  for (const KlKind kl : {KlKind::k1, KlKind::k2, KlKind::k3}) {
    check_preset(
        "ajet", 0.3, [kl](auto& c) { c.kl = kl, c.kl_coef = 0.3, c.entropy_coef = 0.05; }, true);
  }
}

}  // namespace ajet::test
