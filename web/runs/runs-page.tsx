import type { RunInfo } from "../../src/logview/api-types.js";
import { ago, decimal, percent, seconds } from "../app/format.js";
import { joinIds, link, setParams, splitIds } from "../app/route.js";
import { lineColor, type Theme } from "../app/theme.js";
import { BeforeAfter } from "./before-after.js";
import { SettingsDiff } from "./settings-diff.js";
import { Sparkline } from "./sparkline.js";

/** All runs of the folder; two that are ticked are compared. */
export function RunsPage({ runs, theme, params }: { runs: readonly RunInfo[]; theme: Theme; params: URLSearchParams }) {
  const picked = splitIds(params.get("pick")).filter((id) => runs.some((run) => run.id === id));
  const toggle = (id: string) => {
    const next = picked.includes(id) ? picked.filter((other) => other !== id) : [...picked, id];
    setParams({ pick: joinIds(next) });
  };
  const [first, second] = picked;
  return (
    <section>
      <div class="page-head">
        <h1>Runs</h1>
        <p class="hint">
          Tick runs to lay their curves over each other; tick two to see what their settings differ in.
        </p>
        {picked.length > 0 && (
          <a class="button" href={link("curves", { runs: joinIds(picked) })}>
            Curves of {picked.length === 1 ? "this run" : `these ${picked.length}`}
          </a>
        )}
      </div>
      {first !== undefined && second !== undefined && picked.length === 2 && <SettingsDiff a={first} b={second} />}
      <ul class="runs">
        {runs.map((run) => (
          <RunCard
            key={run.id}
            run={run}
            theme={theme}
            picked={picked.includes(run.id)}
            onPick={() => toggle(run.id)}
          />
        ))}
      </ul>
    </section>
  );
}

interface CardProps {
  run: RunInfo;
  theme: Theme;
  picked: boolean;
  onPick: () => void;
}

function RunCard({ run, theme, picked, onPick }: CardProps) {
  const left =
    run.totalSteps !== null && run.secondsPerStep !== null ? (run.totalSteps - run.step) * run.secondsPerStep : null;
  return (
    <li class={`run card${picked ? " picked" : ""}`}>
      <div class="run-title">
        <label>
          <input type="checkbox" checked={picked} onChange={onPick} aria-label={`Choose ${run.id}`} />
          <h2>
            <a href={link("curves", { runs: joinIds([run.id]) })}>{run.id === "." ? run.name : run.id}</a>
          </h2>
        </label>
        <span class={`badge ${run.status}`}>
          {run.status === "running" && <i class="live-dot" />}
          {run.status}
        </span>
        <span class="muted">
          {run.kind === "train" ? "" : `${run.kind} · `}
          {run.yaml ?? ""}
        </span>
        <span class="muted right" title="when metrics were last written">
          {ago(run.updatedMs)}
        </span>
      </div>
      <div class="run-body">
        <Sparkline spark={run.spark} color={lineColor(theme, 0)} />
        <dl class="figures">
          <Figure name="step" value={run.totalSteps === null ? String(run.step) : `${run.step} / ${run.totalSteps}`}>
            <progress value={run.step} max={run.totalSteps ?? Math.max(run.step, 1)} aria-label="steps done" />
          </Figure>
          <Figure name="reward" value={decimal(run.lastReward)} />
          <Figure name="success in training" value={percent(run.lastSuccess)} />
          <Figure name="a step takes" value={seconds(run.secondsPerStep)}>
            {run.status === "running" && left !== null && <small class="muted">about {seconds(left)} left</small>}
          </Figure>
        </dl>
        <BeforeAfter summary={run.summary} />
        <p class="run-links">
          <a href={link("curves", { runs: joinIds([run.id]) })}>Curves</a>
          {run.hasTokens && <a href={link("episodes", { run: run.id })}>Episodes</a>}
        </p>
      </div>
    </li>
  );
}

function Figure({ name, value, children }: { name: string; value: string; children?: preact.ComponentChildren }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {children}
      </dd>
    </div>
  );
}
