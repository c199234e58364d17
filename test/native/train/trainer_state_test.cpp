#include <fstream>

#include "base/file.h"
#include "check.h"
#include "state_folder.h"
#include "step_fixture.h"
#include "train/trainer.h"

namespace ajet::test {
namespace {

void write_file(const std::string& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }

void train(Setup& setup, uint64_t seed, const char* preset) {
  auto step = recorded_step(setup.trainer, seed);
  CHECK(setup.trainer.step(step->batch, loss_preset(preset)).updated);
}

TrainerConfig with_reference() {
  TrainerConfig config = small_batches(1e-2);
  config.reference = true;
  return config;
}

}  // namespace

TEST("trainer state: a resumed run ends with the same weights, bit for bit") {
  StateFolder folder;
  Setup original(1, with_reference());
  train(original, 1, "agentjet");
  train(original, 2, "agentjet");
  original.trainer.save_state(folder.path());
  original.model->save(folder.path(), "float32");

  auto model = Model::load(make_cpu_backend(2), folder.path());
  Trainer trainer(model, with_reference());  // its reference is the trained weights until the state is loaded
  trainer.load_state(folder.path());
  CHECK_EQ(trainer.steps_done(), 2);
  CHECK_EQ(model->version(), original.model->version());
  for (uint64_t seed = 3; seed <= 4; ++seed) {
    train(original, seed, "agentjet");
    auto step = recorded_step(trainer, seed);
    CHECK(trainer.step(step->batch, loss_preset("agentjet")).updated);
  }
  CHECK(arena_values(model->weights()) == arena_values(original.model->weights()));

  StateFolder second;
  trainer.save_state(second.path());
  original.trainer.save_state(folder.path());
  CHECK(read_text_file(second.state()) == read_text_file(folder.state()));
}

TEST("trainer state: corrupt and foreign files are errors and change nothing") {
  StateFolder good, bad;
  Setup setup(2);
  train(setup, 1, "trl-grpo");
  setup.trainer.save_state(good.path());
  const std::string bytes = read_text_file(good.state());
  train(setup, 2, "trl-grpo");
  setup.trainer.save_state(good.path());
  const std::string now = read_text_file(good.state());

  const auto load = [&](const std::string& content) {
    write_file(bad.state(), content);
    setup.trainer.load_state(bad.path());
  };
  // `bytes` with the first `from` behind `key` replaced, so that no length changes.
  const auto replaced = [&](const std::string& key, const std::string& from, const std::string& to) {
    const size_t at = bytes.find(from, bytes.find(key));
    CHECK(at < bytes.find(key) + key.size() + 10 && from.size() == to.size());
    return std::string(bytes).replace(at, from.size(), to);
  };
  CHECK_ERROR(setup.trainer.load_state(bad.path()), "No such file");
  CHECK_ERROR(load(""), "too few for a header");
  CHECK_ERROR(load(bytes.substr(0, bytes.size() / 2)), "trainer_state.safetensors");
  CHECK_ERROR(load(bytes.substr(0, bytes.size() - 4)), "trainer_state.safetensors");
  CHECK_ERROR(load(replaced("format", "ajet-trainer-state", "ajet-trainer-stats")),
              "its format is `ajet-trainer-stats`");
  CHECK_ERROR(load(replaced("format_version", "1", "2")), "format version is 2");
  CHECK_ERROR(load(replaced("\"step\"", "1", "x")), "`step` is \"x\"");
  CHECK_ERROR(load(replaced("\"step\"", "step", "stop")), "no `step`");
  CHECK_ERROR(load(replaced("k_proj.weight.m", "k_proj", "j_proj")), "k_proj.weight.m` is missing");
  std::string not_finite = bytes;
  not_finite.replace(bytes.size() - 4, 4, "\xff\xff\xff\xff", 4);
  CHECK_ERROR(load(not_finite), "which no moment can be");

  ModelConfig other = tiny_config();
  other.intermediate_size = 48;
  Trainer foreign(Model::random(make_cpu_backend(1), other, 1), small_batches(1e-2));
  CHECK_ERROR(foreign.load_state(good.path()), "another shape");
  other.layers = 1;
  Trainer shallow(Model::random(make_cpu_backend(1), other, 1), small_batches(1e-2));
  CHECK_ERROR(shallow.load_state(good.path()), "tensors, but the model needs");
  Trainer kl(setup.model, with_reference());
  CHECK_ERROR(kl.load_state(good.path()), "reference.safetensors");

  CHECK_EQ(setup.trainer.steps_done(), 2);
  setup.trainer.save_state(bad.path());
  CHECK(read_text_file(bad.state()) == now);
}

}  // namespace ajet::test
