// A model whose weights lie in shared memory, and the same weights read in place by another model.
#include "model/shared_weights.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>

#include "base/error.h"
#include "base/shared_memory.h"
#include "check.h"
#include "child_process.h"
#include "model/weights_access.h"
#include "model_fixtures.h"

namespace ajet::test {
namespace {

std::shared_ptr<Model> attach(const std::string& path) {
  return std::make_shared<Model>(make_cpu_backend(1), AttachedWeights::open(path));
}

// Writes the first weight, as an update would.
void update(Model& model, float value) {
  WeightsUpdate change("test", model);
  const ParameterSlice& slice = model.weights().layout().slices.front();
  const Parameter& parameter = model.weights().layout().parameters[static_cast<size_t>(slice.parameter)];
  const std::vector<float> values(static_cast<size_t>(slice.rows * parameter.cols), value);
  model.weights().write(slice, values.data());
  model.weights_changed();
  change.finish();
}

TEST("shared weights: moving them changes no bit, of them or of what is computed with them") {
  for (const char* family : {"qwen2", "qwen3", "llama"}) {
    const auto model = random_model(tiny_config(family), 3);
    const TokenTree tree = random_tree(5, model->config().vocab_size);
    const auto before = read_all(model->weights());
    const auto hidden = forward_hidden(*model, tree);
    const std::string path = model->share();
    CHECK_EQ(model->share(), path);
    CHECK(read_all(model->weights()) == before);
    CHECK(forward_hidden(*model, tree) == hidden);
    const auto other = attach(path);
    CHECK(other->weights().data() != model->weights().data());
    CHECK(read_all(other->weights()) == before);
    CHECK(forward_hidden(*other, tree) == hidden);
  }
}

TEST("shared weights: an update is seen at once, without a copy, with its version") {
  const auto model = random_model(tiny_config("qwen3"), 3);
  model->set_version(41);
  const auto other = attach(model->share());
  CHECK_EQ(other->version(), 41U);
  update(*model, 0.25F);
  CHECK_EQ(other->attached()->reader().version(), 42U);
  WeightsPass pass(*other);
  CHECK(pass.open());
  CHECK_EQ(other->version(), 42U);
  CHECK(read_all(other->weights()) == read_all(model->weights()));
  CHECK(pass.finish());
  model->set_version(7);  // a run that is resumed
  CHECK_EQ(other->attached()->reader().version(), 7U);
}

TEST("shared weights: they outlive the model that they were made for, whole") {
  auto model = random_model(tiny_config("llama"), 3);
  const auto weights = read_all(model->weights());
  const auto other = attach(model->share());
  model.reset();
  CHECK(other->attached()->reader().writer() == WriterState::ended);
  std::vector<std::vector<float>> seen;
  read_whole_weights(*other, [&] { seen = read_all(other->weights()); });
  CHECK(seen == weights);
}

TEST("shared weights: an update that fails leaves nothing that is served") {
  auto model = random_model(tiny_config("llama"), 3);
  const auto other = attach(model->share());
  { WeightsUpdate change("test", *model); }
  {
    const WeightsPass pass(*other);
    CHECK(!pass.open());
  }
  model.reset();
  CHECK_ERROR(WeightsPass{*other}, "they are not whole and are not served");
}

TEST("shared weights: who attaches to them cannot write or train them") {
  const auto model = random_model(tiny_config("qwen3"), 3);
  const auto other = attach(model->share());
  CHECK_ERROR(update(*other, 1.0F), "[test] The weights are those of a training run in another process");
  CHECK_ERROR(other->share(), "[share] The weights are those of another process");
}

TEST("shared weights: without shared memory they stay where they are") {
  const ChildProcess child([](const auto&) {
    signal(SIGXFSZ, SIG_IGN);
    const auto model = std::make_shared<Model>(make_cpu_backend(1), tiny_config("qwen3"));
    const rlimit limit{4096, 4096};
    setrlimit(RLIMIT_FSIZE, &limit);
    const float* before = model->weights().data();
    CHECK_ERROR(model->share(), "bytes of shared memory: File too large");
    CHECK(model->weights().data() == before);
    CHECK(model->shared() == nullptr);
    update(*model, 1.0F);
    return 0;
  });
  CHECK_EQ(child.wait(), 0);
}

// What of a segment's first bytes `change` makes, and what is said of it.
void check_refused(const std::function<void(WeightsControl&)>& change, const std::string& message) {
  const auto model = random_model(tiny_config("qwen3"), 3);
  SharedMemory memory = SharedMemory::open(model->share());
  auto* control = static_cast<WeightsControl*>(memory.map(0, SharedMemory::mapping_alignment, MapAccess::read_write));
  change(*control);
  CHECK_ERROR(attach(memory.path()), message);
}

TEST("shared weights: a segment that is none, of another build or damaged is refused") {
  check_refused([](WeightsControl& c) { c.magic = 1; }, "It is not a segment of weights");
  check_refused([](WeightsControl& c) { ++c.layout; }, "Its layout is 3 but this build reads 2");
  check_refused([](WeightsControl& c) { ++c.table_digest; }, "Its weights are laid out otherwise than cpu");
  check_refused([](WeightsControl& c) { c.weights_bytes -= 64; }, "Its weights are laid out otherwise than cpu");
  check_refused([](WeightsControl& c) { c.weights_bytes = SIZE_MAX; }, "Its header does not fit its");
  check_refused([](WeightsControl& c) { c.config_bytes = 1 << 30; }, "Its header does not fit its");
  check_refused([](WeightsControl& c) { c.segment_bytes += 1; }, "Its header does not fit its");
  check_refused([](WeightsControl& c) { c.dtype = 9; }, "Its header does not fit its");
  check_refused([](WeightsControl& c) { c.dtype = 1; }, "Its weights are laid out otherwise than cpu");
  check_refused([](WeightsControl& c) { std::memset(c.device, 'x', sizeof(c.device)); }, "Its header does not fit its");
}

TEST("shared weights: a segment that is too small is refused") {
  const SharedMemory small = SharedMemory::create("test", 4096);
  CHECK_ERROR(attach(small.path()), "of at least 2097152 bytes, but it has 4096");
  CHECK_ERROR(attach("/proc/self/fd/9999"), "Cannot open /proc/self/fd/9999");
}

}  // namespace
}  // namespace ajet::test
