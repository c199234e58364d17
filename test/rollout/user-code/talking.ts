import { setTimeout as sleep } from "node:timers/promises";
import {
  type EpisodeTrace,
  Judge,
  type JudgeContext,
  type JudgedEpisode,
  type Judgement,
  type Tuner,
  Workflow,
  type WorkflowOutput,
  type WorkflowTask,
} from "ajet";
import type OpenAI from "openai";

const TOOLS = [
  { type: "function" as const, function: { name: "execute_python_code", parameters: { type: "object" } } },
];

/** One round of tools, then the answer; judged by what the task says. */
export class Talking extends Workflow {
  async execute({ task, sample }: WorkflowTask, tuner: Tuner): Promise<WorkflowOutput> {
    const client = tuner.asRawOpenaiSdkClient();
    const messages: OpenAI.ChatCompletionMessageParam[] = [{ role: "user", content: task.mainQuery }];
    const ask = async () => {
      const completion = await client.chat.completions.create({ model: "m", messages, tools: TOOLS });
      return completion.choices[0]?.message as OpenAI.ChatCompletionMessage;
    };
    let reply = await ask();
    if (reply.tool_calls?.length) {
      messages.push(
        reply,
        ...reply.tool_calls.map(({ id }) => ({ role: "tool" as const, tool_call_id: id, content: "51" })),
      );
      reply = await ask();
    }
    if (task.metadata.fails === sample) throw new Error("The workflow failed");
    return { reward: null, metadata: { final_answer: reply.content, behaviour: task.metadata.behaviour } };
  }
}

type Context = EpisodeTrace & JudgeContext;

/** Good and bad judges, by name. */
const JUDGEMENTS: Record<string, (context: Context) => unknown> = {
  good: () => ({ reward: 1, isSuccess: true }),
  "shows what it sees": ({ calls, toolResults }) => ({ reward: 1, reason: JSON.stringify({ calls, toolResults }) }),
  NaN: () => ({ reward: Number.NaN, isSuccess: true }),
  Infinity: () => ({ reward: Number.POSITIVE_INFINITY, isSuccess: true }),
  text: () => ({ reward: "1", isSuccess: true }),
  undefined: () => undefined,
  "bad parts": () => ({ reward: 1, parts: { answer: 1, form: Number.NaN } }),
  "no parts": () => ({ reward: 1, parts: 7 }),
  throws: () => {
    throw new TypeError("no opinion");
  },
  "throws at first": ({ attempt }) => {
    if (attempt < 3) throw new Error("not yet");
    return { reward: attempt, isSuccess: true };
  },
  hangs: () => new Promise(() => {}),
  "hangs but listens": ({ signal }) => sleep(60_000, undefined, { signal }),
  loops: () => {
    for (;;);
  },
  exits: () => process.exit(3),
  "throws in a timer": async () => {
    setTimeout(() => {
      throw new Error("in a timer");
    }, 1);
    await sleep(5000);
  },
  asks: async ({ llm }) => ({ reward: Number(await llm.ask({ messages: [{ role: "user", content: "How good?" }] })) }),
};

export class JudgingBadly extends Judge {
  async computeReward(_: WorkflowTask, { metadata }: WorkflowOutput, context: Context): Promise<Judgement> {
    return (await JUDGEMENTS[metadata.behaviour as string]?.(context)) as Judgement;
  }
}

/** The reward is the episode's place by sample; it misbehaves where its task says so. */
export class JudgingGroups extends Judge {
  computeReward(): Judgement {
    throw new Error("A judge of groups is asked for groups");
  }

  override async computeGroupRewards(episodes: readonly JudgedEpisode[], context: JudgeContext): Promise<Judgement[]> {
    const { behaviour } = (episodes[0] as JudgedEpisode).output.metadata as { behaviour?: string };
    if (behaviour === "short") return [{ reward: 1, isSuccess: true }];
    if (behaviour) {
      const judgement = await JUDGEMENTS[behaviour]?.({ ...(episodes[0] as JudgedEpisode), ...context });
      return episodes.map(() => judgement as Judgement);
    }
    const samples = episodes.map(({ workflowTask }) => workflowTask.sample);
    return episodes.map(({ workflowTask: { task, sample }, calls, toolResults }) => ({
      reward: samples.indexOf(sample),
      isSuccess: sample > 0,
      reason: `${task.taskId} ${samples.join()} ${calls.length} ${toolResults[0]?.content}`,
    }));
  }
}
