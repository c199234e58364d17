"""A step's calls as padded rows: one per merged timeline, the longest row's length wide."""

import statistics

import torch

CLIP_LOW, CLIP_HIGH = 0.2, 0.28  # of the preset `ajet`


def advantages(rewards, groups):
    """(reward - mean) / (std + 1e-6) within each group; None for groups whose rewards are all equal."""
    members = {}
    for reward, group in zip(rewards, groups):
        members.setdefault(group, []).append(reward)
    values = []
    for reward, group in zip(rewards, groups):
        others = members[group]
        equal = len(set(others)) == 1
        values.append(None if equal else (reward - statistics.fmean(others)) / (statistics.stdev(others) + 1e-6))
    return values


def timelines(calls):
    """Calls of one episode that continue each other's tokens, merged: (ids, {position: old log-prob})."""
    merged = []
    for call in sorted(calls, key=lambda call: len(call["prompt"]) + len(call["sampled"])):
        prompt, ids = call["prompt"], call["prompt"] + call["sampled"]
        trained = {len(prompt) + i: logprob for i, logprob in enumerate(call["logprobs"])}
        earlier = next((line for line in merged if prompt[: len(line[0])] == line[0]), None)
        if earlier is None:
            merged.append((ids, trained))
        else:
            merged[merged.index(earlier)] = (ids, {**earlier[1], **trained})
    return merged


class Rows:
    """ids [rows, length], zero-padded on the right; per trained token: the flat index of the hidden state that predicts it,
    its id, its old log-prob, its advantage."""

    def __init__(self, lines):
        length = max(len(ids) for ids, _, _ in lines)
        self.ids = torch.zeros(len(lines), length, dtype=torch.long)
        entries = []
        for row, (ids, trained, advantage) in enumerate(lines):
            self.ids[row, : len(ids)] = torch.tensor(ids)
            entries += [(row * length + at - 1, ids[at], old, advantage) for at, old in trained.items()]
        self.parents, self.targets = (torch.tensor([entry[i] for entry in entries]) for i in (0, 1))
        self.old_logprobs, self.advantages = (torch.tensor([entry[i] for entry in entries]) for i in (2, 3))


def micro_batches(batch, rows_at_once):
    """Rows sorted by length, so that little is padded; those of equal groups are left out, as ajet does."""
    values = advantages(batch["rewards"], batch["groups"])
    by_episode = {}
    for call in batch["calls"]:
        if call["temperature"] != 1:
            raise ValueError("The comparison is for temperature 1")
        by_episode.setdefault(call["episode"], []).append(call)
    lines = [(*line, values[episode]) for episode, calls in by_episode.items() if values[episode] is not None
             for line in timelines(calls)]
    lines.sort(key=lambda line: len(line[0]))
    return [Rows(lines[i : i + rows_at_once]) for i in range(0, len(lines), rows_at_once)]
