import type { ChatMessage } from "../agent/task.js";
import type { CallRecord } from "./call-record.js";

/** What `rollout.compute_madness_checklist` can ask for. */
export type MadnessCheck = "nonsense" | "repetition" | "non_ascii" | "wrong_toolcall" | "context_overflow";

/** Control tokens of chat templates, written out as text. */
const CONTROL_TOKEN = /<\|[a-z][a-z0-9_]{1,31}\|>/;
/** What is left of bytes that are no UTF-8. */
const BROKEN = "\ufffd";
/** Longest unit whose repetition is noticed, in characters. */
const LONGEST_UNIT = 200;
/** A stretch of repetitions is runaway from so many characters and so many units on. */
const RUNAWAY_CHARACTERS = 200;
const RUNAWAY_UNITS = 6;
/** So many words in a row that come from so few: repetition that is not exact. */
const WINDOW_WORDS = 60;
const FEW_WORDS = 4;

/** What is wrong with a finished call, by the first check that finds something; undefined where none does. */
export function findMadness(
  call: CallRecord,
  checks: readonly MadnessCheck[],
): { check: MadnessCheck; what: string } | undefined {
  // Also where a choice had all its tokens when its call was cancelled: that is the clock's doing.
  if (call.finishReason === "cancelled" || call.dropReason === "cancelled") return undefined;
  for (const check of checks) {
    const what = CHECKS[check](call);
    if (what !== undefined) return { check, what };
  }
  return undefined;
}

const CHECKS: Record<MadnessCheck, (call: CallRecord) => string | undefined> = {
  nonsense: (call) => firstOf(textsOf(call), (text) => findNonsense(text, call.finishReason === "length")),
  repetition: (call) => firstOf(textsOf(call), findRepetition),
  non_ascii: (call) => firstOf(textsOf(call), findNonAscii),
  wrong_toolcall: findWrongToolCall,
  // Of a request, not of a reply: the server tells.
  context_overflow: () => undefined,
};

/** Leaked control tokens, broken characters, or runaway repetition. Letters and symbols of any language are none of these. */
export function findNonsense(text: string, wasCut = false): string | undefined {
  const token = CONTROL_TOKEN.exec(text)?.[0];
  if (token !== undefined) return `the control token ${token} in the text`;
  // A token limit can fall into the middle of a character.
  const end = wasCut ? text.length - 1 : text.length;
  if (text.slice(0, Math.max(end, 0)).includes(BROKEN)) return "bytes that are no characters";
  return findRepetition(text);
}

/** A unit that is repeated without end, or a stretch that turns in a circle of a few words. */
export function findRepetition(text: string): string | undefined {
  const characters = Array.from(text);
  for (let period = 1; period <= LONGEST_UNIT; period++) {
    const needed = Math.max(RUNAWAY_CHARACTERS, period * RUNAWAY_UNITS) - period;
    if (needed + period > characters.length) break;
    let run = 0;
    for (let i = period; i < characters.length; i++) {
      run = characters[i] === characters[i - period] ? run + 1 : 0;
      if (run < needed) continue;
      return `${JSON.stringify(characters.slice(i + 1 - period, i + 1).join(""))} again and again`;
    }
  }
  return findCircling(text);
}

/** Tables of numbers circle, too: only words with letters count. */
function findCircling(text: string): string | undefined {
  const words = text.split(/\s+/).filter((word) => /\p{L}/u.test(word));
  const counts = new Map<string, number>();
  for (const [i, word] of words.entries()) {
    counts.set(word, (counts.get(word) ?? 0) + 1);
    const left = words[i - WINDOW_WORDS];
    if (left !== undefined) {
      const rest = (counts.get(left) as number) - 1;
      if (rest === 0) counts.delete(left);
      else counts.set(left, rest);
    }
    if (i + 1 >= WINDOW_WORDS && counts.size <= FEW_WORDS) return `only the words ${[...counts.keys()].join(", ")}`;
  }
  return undefined;
}

function findNonAscii(text: string): string | undefined {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII begins with them
  const found = /[^\x00-\x7f]/u.exec(text)?.[0];
  return found === undefined ? undefined : `${JSON.stringify(found)} is not ASCII`;
}

/** What the server could not read as a call stays in the text, as it was written. */
function findWrongToolCall(call: CallRecord): string | undefined {
  const { content } = call.reply as ChatMessage;
  const text = typeof content === "string" ? content : "";
  return /<\/?tool_call>/.test(text) ? "a <tool_call> that is no valid call" : undefined;
}

function textsOf({ reply }: CallRecord): string[] {
  const { content, tool_calls = [] } = reply as ChatMessage;
  const texts = [typeof content === "string" ? content : "", ...tool_calls.map((call) => call.function.arguments)];
  return texts.filter((text) => text !== "");
}

function firstOf(texts: readonly string[], find: (text: string) => string | undefined): string | undefined {
  for (const text of texts) {
    const what = find(text);
    if (what !== undefined) return what;
  }
  return undefined;
}
