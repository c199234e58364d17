// The loss and gradient of a step's rows in float64, one whole row at a time: nothing is merged, nothing is cut.
#pragma once

#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "random_calls.h"
#include "reference_model.h"
#include "row_oracle.h"
#include "train/trainer.h"

namespace ajet::test {

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

inline UnmergedRows unmerge(const std::vector<OwnedCall>& calls, const std::vector<uint8_t>& kept) {
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

inline Distribution softmax(const double* logits, size_t count, double temperature) {
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
inline void score_rows(ReferenceModel& model, const UnmergedRows& rows, std::vector<float>& logprob,
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
inline double unmerged_loss(ReferenceModel& model, ReferenceModel& frozen, const std::vector<OwnedCall>& calls,
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
inline void set_old_logprobs(Trainer& trainer, std::vector<OwnedCall>& calls, double spread, uint64_t seed) {
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

// Every tensor's gradient of the last step, norm-wise against the oracle's.
inline void check_gradients(const Trainer& trainer, const ReferenceModel& oracle, const std::string& what) {
  std::vector<float> actual;
  for (const ParameterSlice& slice : trainer.gradients().layout().slices) {
    trainer.gradients().read(slice, actual);
    const double error = relative_error(actual, oracle.gradients().at(slice.hf_name).values);
    if (!(error <= 1e-5)) fail_at(__FILE__, __LINE__, what, ": ", slice.hf_name, " differs by ", error);
  }
}

}  // namespace ajet::test
