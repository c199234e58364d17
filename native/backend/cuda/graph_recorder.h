// Work that comes again and again, as CUDA graphs: hundreds of kernels are queued by one call.
//
// The work's own code runs every time. The first time that a key comes, its kernels are queued as they come. The second
// time they are kept and made a graph of. From then on each launch is compared with the one kept in its place (kernel,
// grid, arguments); host arrays go to the places that they had, and if all launches were the same the graph is queued.
// Where one differs, or the work does anything else on the stream, the launches held back so far are queued one by one,
// the rest follows as it comes, and the next time makes a new graph. So what runs is always what the work asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "backend/cuda/argument_slots.h"
#include "backend/cuda/device_arena.h"
#include "backend/cuda/kernel_launch.h"
#include "backend/cuda/stream.h"
#include "backend/cuda/transfers.h"

namespace ajet::cuda {

class GraphRecorder final : public LaunchSink {
 public:
  GraphRecorder(Stream& stream, DeviceArena& arena, Transfers& transfers, bool enabled);
  ~GraphRecorder() override;
  GraphRecorder(const GraphRecorder&) = delete;
  GraphRecorder& operator=(const GraphRecorder&) = delete;

  // Graphs that are kept: those used last.
  static constexpr size_t max_graphs = 64;

  void run(const RecordingKey& key, const std::function<void()>& work);

  // Scratch memory for recorded work, at the same address each time; null where there is no room, or nothing is held.
  void* take_scratch(size_t bytes);
  void give_scratch_back() noexcept;

  // Frees all graphs, and the memory that they use where no work is running.
  void release() noexcept;

  bool hold(const KernelLaunch& launch) override;
  const void* hold_argument(const void* values, size_t bytes) override;
  void flush() override;

 private:
  struct GraphDeleter {  // a graph that is running is freed when it ends
    void operator()(cudaGraphExec_t graph) const { static_cast<void>(cudaGraphExecDestroy(graph)); }
  };
  using Graph = std::unique_ptr<CUgraphExec_st, GraphDeleter>;

  struct Recording {
    std::vector<std::unique_ptr<KernelLaunch>> launches;
    ArgumentSlots arguments;
    Graph graph;
    uint64_t last_run = 0;
    void clear();
  };

  // Device memory of all recordings: their graphs run one after another.
  struct Block {
    char* data = nullptr;
    size_t bytes = 0;
    size_t wanted;
  };
  struct Running {  // while it lives, the blocks stay
    explicit Running(bool& flag) : flag_(flag) { flag_ = true; }
    ~Running() { flag_ = false; }
    bool& flag_;
  };
  bool reserve(Block& block);
  void free(Block& block) noexcept;

  void start(Recording& recording);
  Recording& stop();
  void finish();
  void send_arguments(const Recording& recording);
  Graph capture(const Recording& recording);
  void forget_oldest();

  Stream& stream_;
  DeviceArena& arena_;
  Transfers& transfers_;
  bool enabled_;
  std::map<RecordingKey, Recording> recordings_;
  uint64_t runs_ = 0;

  Block arguments_, scratch_;
  std::vector<std::byte> host_arguments_;  // what arguments_ shall hold
  size_t scratch_used_ = 0, scratch_holders_ = 0;

  bool running_ = false;
  // Of the work that is running.
  Recording* held_ = nullptr;  // null: its launches are queued as they come
  bool comparing_ = false;
  size_t next_launch_ = 0;
};

}  // namespace ajet::cuda
