// Where an engine's KV cache lies: in the memory that its model lends to engine and trainer in turn. Further engines of
// a model have memory of their own.
#pragma once

#include <cstddef>
#include <memory>

#include "model/model.h"
#include "tensor/buffer.h"

namespace ajet {

class KvMemory {
 public:
  KvMemory(std::shared_ptr<Model> model, size_t bytes);
  ~KvMemory();
  KvMemory(const KvMemory&) = delete;
  KvMemory& operator=(const KvMemory&) = delete;

  // Whether the cache is there still: nobody has had the memory since reclaim().
  bool held() const;
  // The memory, taken back where somebody else has it; what was cached is lost then.
  void* reclaim();

 private:
  std::shared_ptr<Model> model_;
  size_t bytes_;
  bool shared_;
  Buffer own_;  // where not shared
};

}  // namespace ajet
