// Training with AdamW's state in host memory, on the CUDA backend in the emulator.
#include "backend/cuda/cuda_backend.h"
#include "base/file.h"
#include "model/shared_weights.h"
#include "model/weights_access.h"
#include "state_folder.h"
#include "step_fixture.h"

namespace ajet::test {
namespace {

using enum OptimizerOffload;

std::shared_ptr<Model> card_model(DType dtype = DType::bf16) {
  auto model = Model::random(cuda::make_cuda_backend({.compute_dtype = dtype}), tiny_config(), 1);
  perturb(*model, 0.2, 2);
  return model;
}

TrainerConfig config_with(OptimizerOffload offload) {
  TrainerConfig config = small_batches(1e-2);
  config.offload = offload;
  config.reference = true;
  return config;
}

struct Run {
  std::shared_ptr<Model> model;
  Trainer trainer;
  explicit Run(OptimizerOffload offload, std::shared_ptr<Model> model_ = card_model())
      : model(std::move(model_)), trainer(model, config_with(offload)) {}

  void step(uint64_t seed) {
    const RandomStepShape shape{.tasks = 1, .repeats = 2, .agents = 1, .turns = 1, .vocab = 13, .longest = 4};
    const RandomStep random = random_step(seed, shape);
    StepBatch batch;
    batch.calls = views(random.calls);
    batch.groups = random.groups;
    for (size_t e = 0; e < random.groups.size(); ++e) batch.rewards.push_back(static_cast<double>(e));
    CHECK(trainer.step(batch, loss_preset("agentjet")).updated);
  }

  // The weights in f32 and as products read them.
  std::vector<std::vector<float>> weights() const {
    std::vector<std::vector<float>> all{arena_values(model->weights())};
    const ParameterLayout& layout = model->weights().layout();
    for (int i = 0; i < static_cast<int>(layout.parameters.size()); ++i) {
      const Parameter& p = layout.parameters[static_cast<size_t>(i)];
      if (!p.matrix) continue;
      std::vector<float>& copy = all.emplace_back(static_cast<size_t>(p.rows * p.cols));
      model->backend()->read_weight_rows(copy.data(), model->weights().weight(i), 0, p.rows);
    }
    return all;
  }
  std::string state() const {
    const StateFolder folder;
    trainer.save_state(folder.path());
    return read_text_file(folder.state()) + read_text_file(folder.path() + "/reference.safetensors");
  }
};

TEST("offload: weights, moments and reference have the same bits in every mode") {
  Run resident(none);
  for (uint64_t seed = 1; seed <= 2; ++seed) resident.step(seed);
  for (const OptimizerOffload mode : {moments, moments_and_master}) {
    Run offloaded(mode);
    for (uint64_t seed = 1; seed <= 2; ++seed) offloaded.step(seed);
    CHECK(offloaded.weights() == resident.weights());
    CHECK(offloaded.state() == resident.state());
  }
}

TEST("offload: a run goes on in any mode from a checkpoint of any other") {
  Run whole(none);
  whole.step(1);
  const StateFolder first;
  whole.model->save(first.path(), "float32");
  whole.trainer.save_state(first.path());
  whole.step(2);
  std::string from = first.path();
  for (const OptimizerOffload mode : {moments_and_master, none, moments}) {
    Run resumed(mode, Model::load(cuda::make_cuda_backend({}), from));
    resumed.trainer.load_state(from);
    const StateFolder saved;  // and what this mode writes is the same file
    resumed.model->save(saved.path(), "float32");
    resumed.trainer.save_state(saved.path());
    for (const char* file : {"/model.safetensors", "/trainer_state.safetensors", "/reference.safetensors"})
      CHECK(read_text_file(saved.path() + file) == read_text_file(first.path() + file));
    resumed.step(2);
    CHECK(resumed.weights() == whole.weights());
    CHECK(resumed.state() == whole.state());
  }
}

TEST("offload: bytes on the card and in host memory are those that are counted") {
  const auto bytes_of = [](OptimizerOffload mode) {
    const auto model = card_model();
    TrainerConfig config = small_batches(1e-2);
    config.offload = mode;
    const Trainer trainer(model, config);
    const MemoryUse use = model->backend()->memory();
    const auto bytes_at = [&](MatrixPlace place) {
      return ParameterArena::bytes(model->weights().layout(), DType::bf16, ArenaUse::values, place);
    };
    const OptimizerPlaces places = optimizer_places(*model->backend(), mode);
    const ArenaBytes moment = bytes_at(places.moments), master = bytes_at(places.master);
    const ArenaBytes counted{2 * moment.device + master.device, 2 * moment.host + master.host};
    CHECK_EQ(use.host_bytes, counted.host);
    return counted;
  };
  const ArenaBytes resident = bytes_of(none), moved = bytes_of(moments), all = bytes_of(moments_and_master);
  CHECK_EQ(resident.host, size_t{0});
  CHECK_EQ(moved.device + moved.host, resident.device);
  CHECK_EQ(all.device + all.host, resident.device);
  CHECK_EQ(2 * all.host, 3 * moved.host);
}

TEST("offload: master weights cannot leave a card that computes in float32, moments can") {
  Run resident(none, card_model(DType::f32)), moved(moments, card_model(DType::f32));
  resident.step(1);
  moved.step(1);
  CHECK(moved.weights() == resident.weights());
  CHECK(moved.state() == resident.state());
  CHECK_ERROR(Run(moments_and_master, card_model(DType::f32)),
              "[trainer] Expected \"none\" or \"moments\" for `offload` but received \"moments_and_master\"");
}

// Another process' model over the weights of this one.
std::shared_ptr<Model> attach(Model& model) {
  return std::make_shared<Model>(cuda::make_cuda_backend({}), AttachedWeights::open(model.share()));
}

TEST("offload: other processes read products' copy of the master weights") {
  Run run(moments_and_master);
  const auto other = attach(*run.model);
  run.step(1);
  const WeightsPass pass(*other);
  CHECK_EQ(other->version(), run.model->version());
  const ParameterArena &mine = run.model->weights(), &theirs = other->weights();
  std::vector<float> read, expected;
  for (const ParameterSlice& slice : mine.layout().slices) {
    theirs.read(slice, read);
    mine.read(slice, expected);
    if (mine.layout().parameters[static_cast<size_t>(slice.parameter)].matrix) {
      const Weight copy = mine.weight(slice.parameter);
      run.model->backend()->read_weight_rows(expected.data(), copy, slice.first_row, slice.rows);
    }
    CHECK(read == expected);
  }
}

TEST("offload: weights of an update that failed half way are not read by others") {
  auto run = std::make_unique<Run>(moments_and_master);
  const auto other = attach(*run->model);
  emulator::set_failing_copy(5, cudaMemcpyDeviceToHost);  // in the second parameter's way back
  const uint64_t version = run->model->version();
  CHECK_ERROR(run->step(1), "cudaMemcpyAsync");
  CHECK_EQ(run->model->version(), version);
  CHECK(!WeightsPass(*other).open());
  run.reset();
  CHECK_ERROR(WeightsPass{*other}, "while it wrote its weights");
}

TEST("offload: what other processes read stays where it is") {
  const auto model = card_model();
  model->share();
  CHECK_ERROR(Run(moments_and_master, model), "create the trainer, then share");
  const Run moved(moments, model);
}

TEST("offload: on a device that computes in the host's memory it changes nothing") {
  const auto cpu_model = [] { return Model::random(make_cpu_backend(1), tiny_config(), 3); };
  Run plain(none, cpu_model()), offloaded(moments_and_master, cpu_model());
  plain.step(1);
  offloaded.step(1);
  CHECK(arena_values(offloaded.model->weights()) == arena_values(plain.model->weights()));
  CHECK(offloaded.state() == plain.state());
  CHECK_EQ(offloaded.model->backend()->memory().active_bytes, plain.model->backend()->memory().active_bytes);
}

}  // namespace
}  // namespace ajet::test
