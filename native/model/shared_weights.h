// Weights that other processes read in place: a segment with the control block, the model's configuration, and, where
// the device computes in the host's memory, the weights themselves. Device memory stays where it is, and the segment
// says how to map it.
#pragma once

#include <memory>
#include <string>

#include "base/shared_memory.h"
#include "model/model_config.h"
#include "model/parameters.h"
#include "model/weights_control.h"

namespace ajet {

// The run's side. Lives as long as the weights do.
class SharedWeights {
 public:
  // Moves host weights into the segment. Throws io or out_of_memory, before anything has moved, where there is none.
  SharedWeights(Backend& backend, const ModelConfig& config, ParameterArena& weights, uint64_t version);
  ~SharedWeights();
  SharedWeights(const SharedWeights&) = delete;
  SharedWeights& operator=(const SharedWeights&) = delete;

  const std::string& path() const { return memory_->path(); }
  WeightsWriter& writer() { return *writer_; }

 private:
  std::shared_ptr<SharedMemory> memory_;
  std::unique_ptr<WeightsWriter> writer_;
  bool on_device_;
};

// The side of a process that attaches to them.
class AttachedWeights {
 public:
  // Throws io where nothing can be opened there, corrupt_file where it is not a segment of this build.
  static std::shared_ptr<AttachedWeights> open(const std::string& path);

  const ModelConfig& config() const { return config_; }
  std::string device() const { return control_->device; }  // Backend::shared_device()
  DType dtype() const { return static_cast<DType>(control_->dtype); }
  WeightsReader& reader() { return *reader_; }
  // The weights, not to be written. Throws corrupt_file where they have another layout here.
  static ParameterArena arena(const std::shared_ptr<AttachedWeights>& self, const std::shared_ptr<Backend>& backend);

 private:
  AttachedWeights(SharedMemory memory, const std::string& path);
  void check_header(const std::string& path) const;

  SharedMemory memory_;
  WeightsControl* control_;
  ModelConfig config_;
  std::unique_ptr<WeightsReader> reader_;
};

}  // namespace ajet
