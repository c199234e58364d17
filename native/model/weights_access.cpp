#include "model/weights_access.h"

#include <chrono>
#include <string>
#include <thread>

#include "base/error.h"
#include "model/shared_weights.h"

namespace ajet {
namespace {

// An engine's thread has other things to do than to wait for an update.
constexpr std::chrono::milliseconds longest_wait(20), poll_interval(1);

}  // namespace

WeightsUpdate::WeightsUpdate(const char* op, Model& model) : model_(model) {
  if (model.attached() != nullptr) {
    fail(ErrorCode::invalid_argument, std::string("[") + op +
                                          "] The weights are those of a training run in another "
                                          "process: only that process writes them");
  }
  if (SharedWeights* shared = model.shared(); shared != nullptr) shared->writer().begin_write();
}

void WeightsUpdate::finish() {
  model_.backend()->synchronize();
  if (SharedWeights* shared = model_.shared(); shared != nullptr) shared->writer().end_write(model_.version());
}

WeightsPass::WeightsPass(Model& model) : model_(model) {
  AttachedWeights* attached = model.attached();
  if (attached == nullptr) return;
  const auto deadline = std::chrono::steady_clock::now() + longest_wait;
  while (!(open_ = attached->reader().begin_pass())) {
    if (std::chrono::steady_clock::now() >= deadline) return;
    std::this_thread::sleep_for(poll_interval);
  }
  model.version_ = attached->reader().version();
}

WeightsPass::~WeightsPass() {
  try {
    if (open_) finish();
  } catch (...) {  // an error of the device, which whoever waits next is told of
  }
}

bool WeightsPass::finish() {
  open_ = false;
  AttachedWeights* attached = model_.attached();
  if (attached == nullptr) return true;
  try {
    model_.backend()->synchronize();
  } catch (...) {
    attached->reader().end_pass();
    throw;
  }
  return attached->reader().end_pass();
}

}  // namespace ajet
