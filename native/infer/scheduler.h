// Which rows go into the next forward pass: decode rows first, then prefill chunks, oldest sequence first. Host
// bookkeeping only; the caller queues the pass and reports with advance(), then with Sequence::arrive() and finish()
// when the drawn tokens are known. The next pass may be scheduled before they are: passes are computed in the order in
// which they were scheduled, so that a block may be given to another sequence as soon as the last pass that uses it is
// queued.
//
// A running sequence that needs a block takes a free one, then an idle one of the prefix tree, then those of the
// youngest running sequence, which goes back to waiting and is computed again from its tokens. So the oldest running
// sequence always advances.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "infer/kv_blocks.h"
#include "infer/prefix_tree.h"
#include "infer/sequence.h"

namespace ajet {

// Copy on write: the first `tokens` positions of a block of the prefix tree.
struct BlockCopy {
  int32_t to, from, tokens;
};

// tokens[first, first + count) of a sequence.
struct ScheduledRun {
  Sequence* sequence;
  int32_t first, count;
  bool last() const { return first + count == sequence->size(); }  // its last row's logits are due
};

struct Schedule {
  std::vector<BlockCopy> copies;  // in this order, before the forward pass
  std::vector<ScheduledRun> runs;
  int32_t rows = 0;
};

struct SchedulerStats {
  uint64_t prefix_hit_tokens = 0, prefill_tokens = 0, preemptions = 0;
};

class Scheduler {
 public:
  Scheduler(int64_t blocks, int32_t max_sequences, int32_t max_batch_tokens);

  void add(std::unique_ptr<Sequence> sequence);
  void schedule(Schedule& out);
  // A run was queued: its full blocks become shareable, and so does the tail where nothing is left to compute. Then the
  // sequence's next token is pending.
  void advance(const ScheduledRun& run);
  // Its last token has arrived; what was computed or drawn behind it is dropped. Valid until remove_finished().
  void finish(Sequence& sequence);
  void remove_finished();
  // Removes a request's sequences, or that of one choice, wherever they are; their choices are appended.
  void cancel(uint64_t request, std::optional<int32_t> choice, std::vector<int32_t>& choices);

  void clear_prefixes();  // running sequences keep what they have computed
  void recompute_all();   // nothing computed so far is used again, nothing pending arrives

  std::span<const std::unique_ptr<Sequence>> running() const { return running_; }
  std::span<const std::unique_ptr<Sequence>> waiting() const { return waiting_; }
  const KvBlocks& blocks() const { return blocks_; }
  const PrefixTree& prefixes() const { return prefixes_; }
  const SchedulerStats& stats() const { return stats_; }

 private:
  using Queue = std::vector<std::unique_ptr<Sequence>>;  // ascending arrival

  void schedule_decodes(Schedule& out);
  void schedule_prefills(Schedule& out);
  void schedule_waiting(Schedule& out);
  void add_run(Schedule& out, Sequence& sequence) const;
  bool extend(Sequence& sequence);
  void preempt_youngest();
  // False where the blocks do not suffice. `match` and path_ are the sequence's.
  bool admit(Sequence& sequence, PrefixMatch match, Schedule& out);
  bool await_prefill(Sequence& sequence, const PrefixMatch& match) const;
  bool still_awaits(const Sequence& sequence) const;
  void publish_full_blocks(Sequence& sequence);
  void publish_tail(Sequence& sequence);
  void release_blocks(Sequence& sequence);
  static void enqueue(Queue& queue, std::unique_ptr<Sequence> sequence);

  KvBlocks blocks_;
  PrefixTree prefixes_;
  int32_t max_sequences_, max_batch_tokens_;
  Queue waiting_, running_;
  std::vector<int32_t> path_;
  SchedulerStats stats_;
};

}  // namespace ajet
