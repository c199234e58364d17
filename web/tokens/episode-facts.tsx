import type { EpisodeReply } from "../../src/logview/api-types.js";
import { decimal, seconds } from "../app/format.js";
import { link } from "../app/route.js";
import { Marks, Outcome } from "../episodes/outcome.js";
import { verdictOf } from "./conversation-line.js";

/** What is known of an episode beside its tokens. */
export function EpisodeFacts({ run, episode }: { run: string; episode: EpisodeReply }) {
  const { header, rewardParts, toolCalls, calls } = episode;
  const { step, group, taskId } = header;
  return (
    <aside class="facts" aria-label="The episode">
      <div class="card">
        <p class="facts-head">
          <Outcome header={header} /> <b class="reward">{decimal(header.reward)}</b>
        </p>
        <Marks marks={header.marks} />
        {episode.reason !== null && <p class="reason">{episode.reason}</p>}
        <dl>
          <Fact name="advantage" value={decimal(header.advantage)} />
          {Object.entries(rewardParts).map(([name, value]) => (
            <Fact key={name} name={`reward: ${name}`} value={decimal(value)} />
          ))}
          {Object.entries(episode.logMetrics).map(([name, value]) => (
            <Fact key={name} name={name} value={decimal(value)} />
          ))}
          <Fact name="weights version" value={String(header.version)} />
          <Fact name="tokens in the loss" value={`${header.lossTokens} of ${header.sampledTokens} sampled`} />
          <Fact name="time" value={seconds(header.wallMs / 1000)} />
          {header.attempts > 1 && <Fact name="attempts" value={String(header.attempts)} />}
        </dl>
        <p class="facts-links">
          <a href={link("episodes", { run, view: "group", step, group })}>Group side by side</a>
          <a href={link("episodes", { run, view: "task", taskId })}>This task across steps</a>
        </p>
      </div>
      {[...episode.failures, ...(episode.madness ? [`madness: ${episode.madness}`] : [])].map((text) => (
        <p key={text} class="notice">
          {text}
        </p>
      ))}
      <div class="card">
        <h2>LLM calls</h2>
        <ol class="calls">
          {calls.map((call, i) => (
            <li key={`${call.callId} ${call.choice}`}>
              <span class={`badge ${call.verdict.fate === "dropped" ? "warn" : "good"}`}>{verdictOf(call)}</span>{" "}
              {call.agent}{" "}
              <span class="muted">
                {call.promptTokens} + {call.sampledTokens} tokens
                {call.startMs !== null && call.endMs !== null && `, ${seconds((call.endMs - call.startMs) / 1000)}`}
              </span>
              {episode.forks.length > 0 && i === 0 && (
                <p class="muted">left the recorded tokens: {episode.forks.map(({ field }) => field).join(", ")}</p>
              )}
            </li>
          ))}
        </ol>
      </div>
      {toolCalls.length > 0 && (
        <div class="card">
          <h2>Tools</h2>
          {toolCalls.map((tool, i) => (
            <details key={`${tool.id} ${i}`} class="tool" open={toolCalls.length <= 3}>
              <summary>
                <b>{tool.name}</b>
                {tool.ms !== undefined && <span class="muted"> {seconds(tool.ms / 1000)}</span>}
                {tool.isError && <span class="badge bad">error</span>}
              </summary>
              <pre>{tool.arguments}</pre>
              <pre class={tool.isError ? "bad-text" : ""}>{tool.output ?? "(no answer)"}</pre>
            </details>
          ))}
        </div>
      )}
    </aside>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}
