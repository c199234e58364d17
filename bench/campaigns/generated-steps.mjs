/** Steps of a run that never was, for logs of any size: conversations with tools in groups that share their beginnings. */

const WORDS = 4096;
const SYSTEM = "You solve problems with tools. Return your final answer within \\boxed{}.";

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The text of a token of {@link generatedStep}. */
export function tokenText(id) {
  return ` ${(id + 36 ** 2).toString(36)}`;
}

export function tokenBytes(id) {
  return Buffer.from(tokenText(id));
}

/**
 * One step, as the token log takes it. The same arguments give the same step.
 * @param shape `groups` of `episodes` each; every one of `turns` samples `sampled` tokens, and gets `observed` back.
 */
export function generatedStep(step, shape = {}) {
  const { groups = 8, episodes = 8, turns = 3, prompt = 200, sampled = 60, observed = 20 } = shape;
  const next = random(step);
  // Few words are frequent, as in any text.
  const ids = (count) => Int32Array.from({ length: count }, () => Math.floor(WORDS * next() ** 3));
  return Array.from({ length: groups }, (_, group) => {
    const question = ids(prompt);
    const taskId = `task-${(step * groups + group) % 1000}`;
    return {
      taskId,
      episodes: Array.from({ length: episodes }, (_, sample) =>
        episode({ step, sample, uuid: `${step}-${group}-${sample}`, question, turns, sampled, observed, ids, next }),
      ),
    };
  });
}

function episode({ step, sample, uuid, question, turns, sampled, observed, ids, next }) {
  const reward = next() < 0.5 ? 1 : 0;
  const advantage = reward - 0.5;
  const messages = [
    { role: "system", content: SYSTEM },
    { role: "user", content: textOf(question) },
  ];
  const calls = [];
  let promptIds = question;
  for (let turn = 0; turn < turns; turn++) {
    const sampledIds = ids(sampled);
    const isLast = turn === turns - 1;
    const callId = `call_${uuid}_${turn}`;
    const code = JSON.stringify({ code: `print(${JSON.stringify(textOf(sampledIds))})` });
    const tool_calls = [{ id: callId, type: "function", function: { name: "execute_python_code", arguments: code } }];
    const reply = isLast
      ? { role: "assistant", content: `${textOf(sampledIds)} \\boxed{${reward}}` }
      : { role: "assistant", content: "", tool_calls };
    calls.push({
      callId: `chatcmpl-${uuid}-${turn}`,
      choice: 0,
      agent: undefined,
      verdict: { fate: isLast ? "trained" : "merged" },
      finishReason: isLast ? "stop" : "tool_calls",
      temperature: 1,
      firstVersion: step - 1,
      lastVersion: step - 1,
      repetition: 0,
      promptIds,
      sampledIds,
      logprobs: Float32Array.from(sampledIds, () => Math.log(1 - next())),
      entropies: Float32Array.from(sampledIds, () => 3 * next()),
      inLoss: true,
      advantage,
      messages: [...messages],
      reply,
      startMs: turn * 100,
      endMs: turn * 100 + 80,
    });
    const output = ids(observed);
    promptIds = Int32Array.from([...promptIds, ...sampledIds, ...output]);
    const stdout = JSON.stringify({ stdout: textOf(output), returncode: 0 });
    messages.push(reply, { role: "tool", tool_call_id: callId, content: stdout });
  }
  return {
    header: {
      sample,
      reward,
      success: reward === 1,
      tag: reward === 1 ? "success" : "failure",
      advantage,
      dropped: null,
      marks: next() < 0.1 ? ["no_print"] : [],
      attempts: 1,
      wallMs: turns * 100,
    },
    uuid,
    reason: reward === 1 ? "the answer is right" : "the answer is wrong",
    rewardParts: { answer: reward },
    metadata: { final_answer: `\\boxed{${reward}}` },
    logMetrics: { turns },
    madness: undefined,
    failure: undefined,
    retried: [],
    unrepeatable: [],
    forks: [],
    calls,
  };
}

function textOf(ids) {
  return Array.from(ids, tokenText).join("");
}
