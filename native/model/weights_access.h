// How weights are read and written where other processes map them too. Both cost nothing where no other does.
#pragma once

#include "model/model.h"

namespace ajet {

// A change of the weights. Readers in other processes are out of them from its making to finish(). Where finish() is
// not reached the weights count as half-written, and no reader uses them again.
class WeightsUpdate {
 public:
  // Throws invalid_argument where the weights are another process'.
  WeightsUpdate(const char* op, Model& model);
  WeightsUpdate(const WeightsUpdate&) = delete;
  WeightsUpdate& operator=(const WeightsUpdate&) = delete;
  void finish();  // waits for the device

 private:
  Model& model_;
};

// A read of the weights: while it is open, a process that trains them waits with its update.
class WeightsPass {
 public:
  // Waits a moment while the weights are being written. Model::version() is that of the weights afterwards. Throws
  // writer_gone where they will never be whole again.
  explicit WeightsPass(Model& model);
  ~WeightsPass();
  WeightsPass(const WeightsPass&) = delete;
  WeightsPass& operator=(const WeightsPass&) = delete;

  bool open() const { return open_; }  // false: they are still being written
  // Waits for the device. False: the weights were written meanwhile, what was computed is to be computed again.
  bool finish();

 private:
  Model& model_;
  bool open_ = true;
};

// Runs `read` until no update has come in between.
template <typename Read>
void read_whole_weights(Model& model, const Read& read) {
  while (true) {
    WeightsPass pass(model);
    if (!pass.open()) continue;
    read();
    if (pass.finish()) return;
  }
}

}  // namespace ajet
