// Groups of rows: each thread computes its own rows from the first op to the last, so that no activation moves from
// one core's cache to another's and no thread waits between ops. Every thread then reads all weights: this pays while
// they stay in the cache that the cores share.
#include <utility>

#include "backend/cpu/cpu_backend.h"

namespace ajet::cpu {
namespace {

constexpr size_t max_weight_bytes = size_t{16} << 20;
constexpr int64_t min_rows = 8;  // of a group

// The group whose ops this thread runs; -1 outside of groups.
thread_local int64_t current_group = -1;

class GroupScope {
 public:
  explicit GroupScope(int64_t group) : outer_(std::exchange(current_group, group)) {}
  ~GroupScope() { current_group = outer_; }
  GroupScope(const GroupScope&) = delete;
  GroupScope& operator=(const GroupScope&) = delete;

 private:
  int64_t outer_;
};

}  // namespace

int64_t CpuBackend::row_groups(int64_t rows, size_t weight_bytes) const {
  const int64_t threads = pool_.threads();
  return weight_bytes <= max_weight_bytes && rows >= threads * min_rows ? threads : 1;
}

void CpuBackend::run_row_groups(int64_t groups, const std::function<void(int64_t)>& group) {
  if (groups == 1) return group(0);
  pool_.parallel_for(groups, [&](int64_t g) {
    const GroupScope scope(g);
    group(g);
  });
}

CpuBackend::OpState& CpuBackend::op_state() {
  return op_states_[static_cast<size_t>(current_group < 0 ? 0 : current_group)];
}

int CpuBackend::op_threads() const { return current_group < 0 ? pool_.threads() : 1; }

}  // namespace ajet::cpu
