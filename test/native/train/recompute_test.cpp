// Layers that the backward pass computes again: the bits of kept activations, in every variant of the model, at once
// and in segments, and through the trainer's steps.
#include "backend/backends.h"
#include "check.h"
#include "model/tree_passes.h"
#include "step_fixture.h"

namespace ajet::test {
namespace {

// q/k norm and a tied head; biases and key heads that several heads share; biases everywhere, a key head for each.
std::vector<ModelConfig> variants() {
  ModelConfig qwen3 = tiny_config(true), qwen2 = tiny_config(false), llama = tiny_config(false);
  qwen2.model_type = "qwen2";
  llama.model_type = "llama";
  qwen2.qk_norm = llama.qk_norm = false;
  qwen2.qkv_bias = llama.qkv_bias = llama.output_bias = llama.mlp_bias = true;
  llama.kv_heads = llama.heads;
  return {qwen3, qwen2, llama};
}

std::shared_ptr<Model> random_model(const std::shared_ptr<Backend>& backend, const ModelConfig& config) {
  auto model = Model::random(backend, config, 3);
  perturb(*model, 0.2, 4);
  return model;
}

TrainerConfig with_recompute(Recompute recompute, int64_t max_batch_tokens) {
  TrainerConfig config = small_batches(1e-2);
  config.recompute = recompute;
  config.max_batch_tokens = max_batch_tokens;
  config.reference = true;
  return config;
}

LossConfig loss_with_all_terms(const char* preset) {
  LossConfig loss = loss_preset(preset);
  loss.kl = KlKind::k3;
  loss.kl_coef = 0.05;
  loss.entropy_coef = 0.01;
  return loss;
}

struct Run {
  std::vector<StepStats> steps;
  std::vector<float> weights;
};

Run three_steps(const std::shared_ptr<Backend>& backend, const char* preset, const TrainerConfig& config) {
  const auto model = random_model(backend, tiny_config());
  Trainer trainer(model, config);
  Run run;
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const auto step = recorded_step(trainer, seed, is_slow(*backend) ? smallest_step : usual_step);
    run.steps.push_back(trainer.step(step->batch, loss_with_all_terms(preset)));
  }
  run.weights = arena_values(model->weights());
  return run;
}

}  // namespace

TEST("recompute: hidden states and gradients of a tree have the bits of kept activations") {
  for (const auto& backend : backends()) {
    for (const ModelConfig& config : variants()) {
      if (is_slow(*backend) && config.model_type == "qwen2") continue;
      const auto model = random_model(backend, config);
      PathCache cache;
      for (uint64_t seed = 1; seed <= (is_slow(*backend) ? 1U : 4U); ++seed) {
        const TreeBatch batch = TreeBatch::random(seed, config);
        for (const int64_t mlp_rows : {16, 4096}) {
          if (is_slow(*backend) && mlp_rows > batch.tree.rows()) continue;
          const ActivationLayout kept{.mlp_rows = mlp_rows};
          const ActivationLayout again{.keep = Keep::layer_inputs, .mlp_rows = mlp_rows, .lent_bytes = 1000};
          CHECK(run_whole(*model, batch, again) == run_whole(*model, batch, kept));
          const int64_t rows = batch.tree.rows() / 2;
          CHECK(run_segments(*model, batch, rows, cache, again) == run_segments(*model, batch, rows, cache, kept));
        }
      }
    }
  }
}

TEST("recompute: the rows of an MLP's chunk do not show in hidden states, and in gradients as rounding alone") {
  for (const auto& backend : backends()) {
    const auto model = random_model(backend, variants()[2]);
    const TreeBatch batch = TreeBatch::random(2, model->config());
    const TreeResults whole = run_whole(*model, batch), chunks = run_whole(*model, batch, {.mlp_rows = 16});
    CHECK(chunks.hidden == whole.hidden);
    for (size_t s = 0; s < whole.gradients.size(); ++s)
      CHECK_LE(relative_error(chunks.gradients[s], whole.gradients[s]), 1e-5);
  }
}

TEST("recompute: one memory for passes that keep everything, layer inputs, or nothing") {
  for (const auto& backend : backends()) {
    const auto model = random_model(backend, tiny_config());
    const TreeBatch large = TreeBatch::random(3, model->config()), small = TreeBatch::random(1, model->config());
    TreePasses passes{*model, large};
    const std::vector<float> expected = passes.forward(large.tree, false);
    for (const Keep keep : {Keep::everything, Keep::layer_inputs, Keep::everything, Keep::layer_inputs}) {
      passes.layout.keep = keep;
      CHECK(passes.forward(large.tree, true) == expected);
      passes.backward(large.tree);
      CHECK(passes.forward(large.tree, false) == expected);
      CHECK_ERROR(passes.backward(large.tree), "`activations` of a forward_tree");
    }
    TreePasses alone{*model, small}, reused{*model, small, nullptr, {.keep = Keep::layer_inputs}};
    std::swap(reused.activations, passes.activations);
    CHECK(reused.forward(small.tree, true) == alone.forward(small.tree, true));
  }
}

TEST("recompute: three steps of the trainer leave the same weights, at once, cut at branches and in segments") {
  for (const auto& backend : backends()) {
    for (const char* preset : {"trl-grpo", "gspo"}) {
      for (const int64_t budget : {4096, 40, 5}) {
        if (is_slow(*backend) && (budget != 5 || preset != std::string("gspo"))) continue;
        const Run kept = three_steps(backend, preset, with_recompute(Recompute::none, budget));
        const Run again = three_steps(backend, preset, with_recompute(Recompute::layers, budget));
        CHECK(again.weights == kept.weights);
        for (size_t i = 0; i < kept.steps.size(); ++i) {
          const StepStats &a = kept.steps[i], &b = again.steps[i];
          CHECK(a.updated && a.loss == b.loss && a.grad_norm == b.grad_norm && a.kl == b.kl);
          CHECK_EQ(a.logprob_max_abs_diff, 0.0);
          CHECK_EQ(b.logprob_max_abs_diff, 0.0);
          CHECK_EQ(a.tokens_trained, b.tokens_trained);
          CHECK_EQ(a.tokens_recomputed, 0);
          CHECK(b.tokens_recomputed > 0 && b.tokens_recomputed <= b.tokens_trained);
          if (budget == 4096) CHECK_EQ(b.tokens_recomputed, b.tokens_trained);
        }
      }
    }
  }
}

TEST("recompute: left to itself, a trainer with memory enough keeps everything") {
  for (const auto& backend : backends()) {
    for (const StepStats& stats : three_steps(backend, "ajet", with_recompute(TrainerConfig{}.recompute, 40)).steps)
      CHECK_EQ(stats.tokens_recomputed, 0);
  }
}

}  // namespace ajet::test
