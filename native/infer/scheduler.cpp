#include "infer/scheduler.h"

#include <algorithm>
#include <utility>

namespace ajet {
namespace {

constexpr auto block_tokens = static_cast<int32_t>(kv_block_tokens);
// A prefix that another sequence is computing is worth waiting for from this length on.
constexpr int32_t min_awaited_tokens = block_tokens;

int32_t blocks_for(int32_t tokens) { return (tokens + block_tokens - 1) / block_tokens; }

int32_t common_prefix(const std::vector<int32_t>& a, const std::vector<int32_t>& b) {
  return static_cast<int32_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

std::span<const int32_t> block_run(const Sequence& sequence, int32_t block, int32_t end) {
  const int32_t first = block * block_tokens;
  return std::span(sequence.tokens).subspan(static_cast<size_t>(first), static_cast<size_t>(end - first));
}

}  // namespace

Scheduler::Scheduler(int64_t blocks, int32_t max_sequences, int32_t max_batch_tokens)
    : blocks_(blocks), prefixes_(blocks_), max_sequences_(max_sequences), max_batch_tokens_(max_batch_tokens) {}

void Scheduler::enqueue(Queue& queue, std::unique_ptr<Sequence> sequence) {
  const auto before = [](uint64_t arrival, const std::unique_ptr<Sequence>& other) { return arrival < other->arrival; };
  const auto at = std::upper_bound(queue.begin(), queue.end(), sequence->arrival, before);
  queue.insert(at, std::move(sequence));
}

void Scheduler::add(std::unique_ptr<Sequence> sequence) { enqueue(waiting_, std::move(sequence)); }

void Scheduler::schedule(Schedule& out) {
  out.copies.clear();
  out.runs.clear();
  out.rows = 0;
  schedule_decodes(out);
  schedule_prefills(out);
  schedule_waiting(out);
}

void Scheduler::add_run(Schedule& out, Sequence& sequence) const {
  const int32_t count = std::min(sequence.remaining(), max_batch_tokens_ - out.rows);
  out.runs.push_back({&sequence, sequence.computed, count});
  out.rows += count;
}

void Scheduler::schedule_decodes(Schedule& out) {
  // Preemption takes from the end, so what has been scheduled stays.
  for (size_t i = 0; i < running_.size() && out.rows < max_batch_tokens_; ++i) {
    Sequence& sequence = *running_[i];
    if (!sequence.prefilling && !sequence.awaits_end() && extend(sequence)) add_run(out, sequence);
  }
}

// Makes room for the next token. False where the sequence itself was the youngest and has been preempted.
bool Scheduler::extend(Sequence& sequence) {
  if (blocks_for(sequence.size()) <= static_cast<int32_t>(sequence.blocks.size())) return true;
  while (prefixes_.available() == 0) {
    const bool itself = running_.back().get() == &sequence;
    preempt_youngest();
    if (itself) return false;
  }
  sequence.blocks.push_back(prefixes_.allocate());
  return true;
}

void Scheduler::preempt_youngest() {
  std::unique_ptr<Sequence> youngest = std::move(running_.back());
  running_.pop_back();
  publish_tail(*youngest);
  release_blocks(*youngest);
  ++stats_.preemptions;
  enqueue(waiting_, std::move(youngest));
}

void Scheduler::schedule_prefills(Schedule& out) {
  for (const auto& sequence : running_) {
    if (out.rows == max_batch_tokens_) return;
    if (sequence->prefilling) add_run(out, *sequence);
  }
}

void Scheduler::schedule_waiting(Schedule& out) {
  size_t held_back = 0;  // waiting_[0, held_back) await a prefill
  while (held_back < waiting_.size() && held_back < static_cast<size_t>(max_sequences_) &&
         running_.size() < static_cast<size_t>(max_sequences_) && out.rows < max_batch_tokens_) {
    Sequence& sequence = *waiting_[held_back];
    if (sequence.awaits_end() || still_awaits(sequence)) {
      ++held_back;
      continue;
    }
    // The last token is always computed: its logits are due.
    const auto match = prefixes_.match(std::span(sequence.tokens).first(sequence.tokens.size() - 1), path_);
    if (await_prefill(sequence, match)) {
      ++held_back;
      continue;
    }
    if (!admit(sequence, match, out)) return;  // no younger one overtakes for lack of blocks
    std::unique_ptr<Sequence> admitted = std::move(waiting_[held_back]);
    waiting_.erase(waiting_.begin() + static_cast<std::ptrdiff_t>(held_back));
    enqueue(running_, std::move(admitted));
    add_run(out, sequence);
  }
}

bool Scheduler::admit(Sequence& sequence, PrefixMatch match, Schedule& out) {
  // Retained first, so that allocation does not evict them.
  for (const int32_t block : path_) prefixes_.retain(block);
  if (match.partial_tokens > 0) prefixes_.retain(match.partial_block);
  const auto added = blocks_for(sequence.size()) - static_cast<int32_t>(path_.size());
  // What decoding takes within the next few steps stays free, lest the newcomer be preempted at once.
  const auto reserve = static_cast<int32_t>(running_.size() + 3) / 4;
  if (prefixes_.available() < added + reserve && match.partial_tokens > 0) {
    prefixes_.release(match.partial_block);
    match = {match.tokens - match.partial_tokens, -1, 0};
  }
  if (prefixes_.available() < added + reserve) {
    for (auto block = path_.rbegin(); block != path_.rend(); ++block) prefixes_.release(*block);
    return false;
  }
  sequence.blocks.assign(path_.begin(), path_.end());
  for (int32_t i = 0; i < added; ++i) sequence.blocks.push_back(prefixes_.allocate());
  if (match.partial_tokens > 0) {
    out.copies.push_back({sequence.blocks[path_.size()], match.partial_block, match.partial_tokens});
    prefixes_.release(match.partial_block);
  }
  sequence.computed = match.tokens;
  sequence.published = static_cast<int32_t>(path_.size());
  sequence.node = path_.empty() ? prefixes_.root() : path_.back();
  sequence.prefilling = true;
  if (sequence.cached_tokens < 0) sequence.cached_tokens = match.tokens;
  stats_.prefix_hit_tokens += static_cast<uint64_t>(match.tokens);
  return true;
}

// Whether a running prefill will soon offer at least min_awaited_tokens more than `match`.
bool Scheduler::await_prefill(Sequence& sequence, const PrefixMatch& match) const {
  const int32_t least = match.tokens + min_awaited_tokens;
  if (sequence.known() <= least) return false;
  for (const auto& other : running_) {
    if (!other->prefilling || other->known() < least || other->tokens[least - 1] != sequence.tokens[least - 1])
      continue;
    const int32_t common = common_prefix(sequence.tokens, other->tokens);
    // Shareable once the block around the last common token is full, or the whole prefill done.
    const int32_t until = std::min(blocks_for(common) * block_tokens, other->size());
    if (common < least || other->computed >= until) continue;
    sequence.awaited_arrival = other->arrival;
    sequence.awaited_tokens = until;
    return true;
  }
  return false;
}

bool Scheduler::still_awaits(const Sequence& sequence) const {
  if (sequence.awaited_tokens == 0) return false;
  const auto before = [](const std::unique_ptr<Sequence>& other, uint64_t arrival) { return other->arrival < arrival; };
  const auto other = std::lower_bound(running_.begin(), running_.end(), sequence.awaited_arrival, before);
  return other != running_.end() && (*other)->arrival == sequence.awaited_arrival && (*other)->prefilling &&
         (*other)->computed < sequence.awaited_tokens;
}

void Scheduler::advance(const ScheduledRun& run) {
  Sequence& sequence = *run.sequence;
  if (sequence.prefilling) stats_.prefill_tokens += static_cast<uint64_t>(run.count);
  sequence.computed += run.count;
  publish_full_blocks(sequence);
  if (sequence.remaining() > 0) return;
  if (sequence.prefilling) publish_tail(sequence);  // equal prompts continue from here
  sequence.prefilling = false;
  ++sequence.pending;
}

void Scheduler::publish_full_blocks(Sequence& sequence) {
  for (; (sequence.published + 1) * block_tokens <= sequence.shareable(); ++sequence.published) {
    int32_t& block = sequence.blocks[static_cast<size_t>(sequence.published)];
    const auto run = block_run(sequence, sequence.published, (sequence.published + 1) * block_tokens);
    const int32_t known = prefixes_.insert(sequence.node, run, block);
    if (known != block) {  // computed twice, to the same bits: one copy is enough
      prefixes_.retain(known);
      prefixes_.release(block);
      block = known;
    }
    sequence.node = block;
  }
}

// The sequence may go on writing behind the positions that the tree knows of.
void Scheduler::publish_tail(Sequence& sequence) {
  publish_full_blocks(sequence);
  const int32_t end = sequence.shareable();
  if (sequence.published * block_tokens >= end) return;
  prefixes_.insert(sequence.node, block_run(sequence, sequence.published, end),
                   sequence.blocks[static_cast<size_t>(sequence.published)]);
}

void Scheduler::release_blocks(Sequence& sequence) {
  // Deepest first, so that it is the older in the order of use.
  for (auto block = sequence.blocks.rbegin(); block != sequence.blocks.rend(); ++block) prefixes_.release(*block);
  sequence.blocks.clear();
  sequence.computed = sequence.published = 0;
  sequence.prefilling = false;
}

void Scheduler::finish(Sequence& sequence) {
  sequence.pending = 0;
  sequence.computed = std::min(sequence.computed, sequence.known() - 1);
  publish_tail(sequence);
  release_blocks(sequence);
  sequence.finished = true;
}

void Scheduler::remove_finished() {
  const auto finished = [](const std::unique_ptr<Sequence>& sequence) { return sequence->finished; };
  std::erase_if(running_, finished);
  std::erase_if(waiting_, finished);  // preempted while its last token was on its way
}

void Scheduler::cancel(uint64_t request, std::optional<int32_t> choice, std::vector<int32_t>& choices) {
  const auto remove = [&](const std::unique_ptr<Sequence>& sequence) {
    if (sequence->request != request || sequence->choice != choice.value_or(sequence->choice)) return false;
    release_blocks(*sequence);
    choices.push_back(sequence->choice);
    return true;
  };
  std::erase_if(running_, remove);
  std::erase_if(waiting_, remove);
}

void Scheduler::clear_prefixes() {
  prefixes_.clear();
  for (const auto& sequence : running_) {
    sequence->published = 0;
    sequence->node = prefixes_.root();
  }
}

void Scheduler::recompute_all() {
  prefixes_.clear();
  for (const auto& sequence : waiting_) sequence->pending = 0;
  for (auto& sequence : running_) {
    sequence->pending = 0;
    release_blocks(*sequence);
    enqueue(waiting_, std::move(sequence));
  }
  running_.clear();
}

}  // namespace ajet
