import { resolve } from "node:path";
import { z } from "zod";
import { type EpisodeTrace, Judge, type JudgeContext, type Judgement } from "../../agent/judge.js";
import type { WorkflowTask } from "../../agent/task.js";
import type { WorkflowOutput } from "../../agent/workflow.js";
import { readArgs } from "../judge-args.js";
import { scorerProcess } from "./scorer-process.js";
import type { ScorerOptions } from "./text-scorer.js";

/** A text with `{query}`, `{answer}`, `{reference}` and `{tool_results}` in it. */
const template = z.string().min(1);

const args = z.strictObject({
  /** An `.onnx` file, from the current folder. */
  model_path: z.string({ error: "Expected the path of an .onnx file" }).min(1),
  /** The folder of its tokenizer.json; unset: the model's own. */
  tokenizer_path: z.string().min(1).optional(),
  text: template.default("{query}\n{answer}"),
  /** The second text, for models of text pairs. */
  pair: template.optional(),
  /** Unset: the model's first output. */
  output: z.string().min(1).optional(),
  /** Class whose probability is the reward, where there is more than one output; -1 is the last. */
  label: z.number().int().default(-1),
  /** `auto`: a single output is the reward as it is, several go through softmax. */
  activation: z.enum(["auto", "none", "sigmoid", "softmax"]).default("auto"),
  success_threshold: z.number().default(0.5),
  max_length: z.number().int().min(2).default(512),
});

type OnnxArgs = z.output<typeof args>;

/** Scores texts with an ONNX model, a classifier or a regressor, on the CPU through onnxruntime-node. */
export class OnnxAsJudge extends Judge {
  override async prepare(): Promise<void> {
    await scorerProcess.load(scorerOptions(readArgs(args, this.args)));
  }

  async computeReward(
    workflowTask: WorkflowTask,
    output: WorkflowOutput,
    trace?: Partial<EpisodeTrace & JudgeContext>,
  ): Promise<Judgement> {
    const settings = readArgs(args, this.args);
    const values = textValues(workflowTask, output, trace);
    const fill = (text: string) =>
      text.replace(/\{(query|answer|reference|tool_results)\}/g, (_, key) => values[key] ?? "");
    const pair = settings.pair === undefined ? undefined : fill(settings.pair);
    const reward = await scorerProcess.score(scorerOptions(settings), fill(settings.text), pair);
    return {
      reward,
      isSuccess: reward >= settings.success_threshold,
      reason: `the model gives ${reward.toPrecision(4)}`,
    };
  }
}

function scorerOptions(settings: OnnxArgs): ScorerOptions {
  const { model_path, tokenizer_path, output, label, activation, max_length: maxLength } = settings;
  const tokenizerFolder = tokenizer_path === undefined ? undefined : resolve(tokenizer_path);
  return { modelFile: resolve(model_path), tokenizerFolder, output, label, activation, maxLength };
}

function textValues(
  { task }: WorkflowTask,
  { metadata }: WorkflowOutput,
  trace: Partial<EpisodeTrace> = {},
): Record<string, string> {
  const text = (value: unknown) => (typeof value === "string" || typeof value === "number" ? String(value) : "");
  return {
    query: task.mainQuery,
    answer: text((metadata as { final_answer?: unknown }).final_answer),
    reference: text((task.metadata as { answer?: unknown }).answer),
    tool_results: (trace.toolResults ?? []).map(({ content }) => content).join("\n"),
  };
}
