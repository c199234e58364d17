import type { EpisodesReply } from "../../src/logview/api-types.js";
import type { EpisodeHeader } from "../../src/report/token-log/types.js";
import { get, useFetched } from "../app/api.js";
import { decimal } from "../app/format.js";
import { link } from "../app/route.js";

/** A task's episodes of all steps, one line a step. */
export function TaskView({ run, taskId }: { run: string; taskId: string }) {
  const { data, error } = useFetched(`${run}\n${taskId}`, (signal) =>
    get<EpisodesReply>("episodes", { run, taskId, sortBy: "step", limit: 500 }, signal),
  );
  if (error) return <p class="notice">{error}</p>;
  if (!data) return <p class="muted">…</p>;
  const steps = new Map<number, EpisodeHeader[]>();
  for (const header of data.episodes) steps.set(header.step, [...(steps.get(header.step) ?? []), header]);
  return (
    <section>
      <div class="page-head">
        <h1>Task {taskId}</h1>
        <span class="muted">
          {data.total} episodes in {steps.size === 1 ? "one step" : `${steps.size} steps`}
          {data.total > data.episodes.length ? ", the first 500 are shown" : ""}
        </span>
        <a href={link("episodes", { run })}>All episodes</a>
      </div>
      <table class="task-steps card">
        <thead>
          <tr>
            <th scope="col">step</th>
            <th scope="col">mean reward</th>
            <th scope="col">samples, by reward as they came</th>
          </tr>
        </thead>
        <tbody>
          {[...steps].map(([step, headers]) => (
            <tr key={step}>
              <th scope="row">
                <a href={link("episodes", { run, view: "group", step, group: headers[0]?.group })}>{step}</a>
              </th>
              <td>{decimal(meanReward(headers))}</td>
              <td>
                <div class="samples">
                  {headers.map((header) => (
                    <a
                      key={header.key}
                      class={`sample-cell ${header.dropped ? "dropped" : header.tag}`}
                      href={link("tokens", { run, key: header.key })}
                      title={`sample ${header.sample}${header.marks.length > 0 ? `: ${header.marks.join(", ")}` : ""}`}
                    >
                      {header.reward === null ? "dropped" : header.reward.toFixed(2)}
                    </a>
                  ))}
                </div>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function meanReward(headers: readonly EpisodeHeader[]): number | undefined {
  const rewards = headers.flatMap(({ reward }) => (reward === null ? [] : [reward]));
  return rewards.length === 0 ? undefined : rewards.reduce((sum, reward) => sum + reward, 0) / rewards.length;
}
