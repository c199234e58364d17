import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { ajet, jsonLines, ROOT, readJson, settings, temporaryFolder } from "./ajet.js";
import { Devtools, generatedLocation } from "./devtools.js";
import { loggedEpisodes } from "./logged-episodes.js";

const YAML = "tutorial/example_math_agent/math_agent.yaml";
const WORKFLOW = join(ROOT, "tutorial/example_math_agent/math_agent_oai_sdk.ts");

function tiny(folder: string, values: Record<string, unknown> = {}): string[] {
  return settings({
    experiment_dir: folder,
    "rollout.num_repeat": 2,
    "rollout.max_response_length_in_one_turn": 48,
    ...values,
  });
}

/** Runs to a line of a source, as VS Code does: each script with a source map is held until its breakpoints are set. */
async function stopAt(devtools: Devtools, file: string, text: string) {
  const line = readFileSync(file, "utf8")
    .split("\n")
    .findIndex((one) => one.includes(text));
  expect(line).toBeGreaterThan(0);
  let breakpointId = "";
  const setBreakpoint = async ({ scriptId, url, sourceMapURL }: Record<string, string>) => {
    const { scriptSource } = await devtools.call("Debugger.getScriptSource", { scriptId });
    const location = generatedLocation({ sourceMapURL: sourceMapURL as string, source: scriptSource }, line);
    const set = await devtools.call("Debugger.setBreakpointByUrl", { url, ...location });
    expect(set.locations).toHaveLength(1);
    breakpointId = set.breakpointId;
  };
  await devtools.call("Runtime.enable");
  await devtools.call("Debugger.enable");
  const instrumentation = "beforeScriptWithSourceMapExecution";
  await devtools.call("Debugger.setInstrumentationBreakpoint", { instrumentation });
  await devtools.call("Runtime.runIfWaitingForDebugger");
  for (;;) {
    const stop = await devtools.event("Debugger.paused");
    if (stop.hitBreakpoints?.includes(breakpointId)) return { ...stop, breakpointId };
    if (stop.data?.url === pathToFileURL(file).href) await setBreakpoint(stop.data);
    await devtools.call("Debugger.resume");
  }
}

describe("ajet --backbone debug", () => {
  it("runs the first tasks without training, and again to the same result", async () => {
    const folder = temporaryFolder();
    const run = async (values: Record<string, unknown>) => {
      const args = ["--conf", YAML, "--backbone", "debug", "--json", ...tiny(folder, values)];
      const { code, stdout, stderr } = await ajet(args);
      expect(stderr).not.toContain("error");
      expect(code).toBe(0);
      const lines = jsonLines(stdout);
      return { episodes: lines.slice(0, -1), summary: lines.at(-1) };
    };
    const first = await run({ "debug.debug_first_n_tasks": 3, "debug.debug_max_parallel": 1 });
    const tasks = jsonLines(readFileSync(join(ROOT, "tutorial/example_math_agent/data/train.jsonl"), "utf8"));
    expect(first.summary).toMatchObject({ tasks: 3, episodes: 6, episodes_dropped: 0 });
    expect(first.episodes.map(({ task_id, sample }) => [task_id, sample])).toEqual(
      [0, 1, 2].flatMap((task) => [0, 1].map((sample) => [tasks[task].task_id ?? String(task + 1), sample])),
    );
    // All at once, in whatever order they end.
    const second = await run({ "debug.debug_first_n_tasks": 3, "debug.debug_max_parallel": 6 });
    const key = ({ task_id, sample }: { task_id: string; sample: number }) => `${task_id} ${sample}`;
    expect(second.episodes.sort((a, b) => key(a).localeCompare(key(b)))).toEqual(
      first.episodes.sort((a, b) => key(a).localeCompare(key(b))),
    );
    const runs = readdirSync(folder).sort();
    expect(runs).toHaveLength(2);
    for (const name of runs) {
      expect(name).toMatch(/^debug_math_agent_/);
      // Nothing was trained: there are no metrics and no checkpoints.
      expect(readdirSync(join(folder, name)).sort()).toEqual(["config.yaml", "run.json", "summary.json", "tokens"]);
      expect(readJson(folder, name, "run.json").kind).toBe("debug");
      expect(await loggedEpisodes(join(folder, name))).toHaveLength(6);
    }
  });

  it("cannot be resumed", async () => {
    const { code, stderr } = await ajet(["--conf", YAML, "--backbone", "debug", "--resume"]);
    expect(code).toBe(2);
    expect(stderr).toContain("leave --resume out");
  });
});

describe(".vscode/launch.json", () => {
  it("starts a run in which a breakpoint on a line of the workflow's TypeScript stops", async () => {
    const folder = temporaryFolder();
    const { configurations } = readJson(ROOT, ".vscode/launch.json");
    const { program, args, cwd } = configurations[0];
    const here = (path: string) => path.replace(/\$\{workspaceFolder\}/, ROOT.replace(/\/$/, ""));
    const own = tiny(folder, { "debug.debug_first_n_tasks": 1, "rollout.num_repeat": 1 });
    const child = spawn(process.execPath, ["--inspect-brk=0", here(program), ...args, ...own], { cwd: here(cwd) });
    let stderr = "";
    const url = await new Promise<string>((resolve) => {
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        stderr += text;
        const found = /Debugger listening on (ws:\S+)/.exec(stderr)?.[1];
        if (found) resolve(found);
      });
    });
    const ended = new Promise((resolve) => child.once("exit", resolve));
    const devtools = await Devtools.connect(url);
    try {
      const { hitBreakpoints, breakpointId, callFrames } = await stopAt(devtools, WORKFLOW, "let reply = await ask()");
      expect(hitBreakpoints).toEqual([breakpointId]);
      expect(callFrames[0].functionName).toBe("execute");
      // In scope under its own name: the task that the episode is about.
      const { result } = await devtools.call("Debugger.evaluateOnCallFrame", {
        callFrameId: callFrames[0].callFrameId,
        expression: "workflowTask.task.mainQuery",
      });
      expect(result.value).toBe(
        jsonLines(readFileSync(join(ROOT, "tutorial/example_math_agent/data/train.jsonl"), "utf8"))[0].question,
      );
      await devtools.call("Debugger.resume");
      devtools.close();
      expect(await ended).toBe(0);
    } finally {
      devtools.close();
      child.kill("SIGKILL");
    }
  });
});
