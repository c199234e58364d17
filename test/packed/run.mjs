/**
 * The packed package: `npm pack`, install the tarball into an empty project, run `npx ajet doctor`, a training run of one
 * step with a workflow of that project, and import the package's API.
 *
 *   node test/packed/run.mjs
 *
 * Needs the npm registry (or its cache) and takes 1 to 3 minutes: the addon is built anew.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ajet-packed-"));
const project = join(folder, "project");
let passed = 0;

try {
  const packed = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], ROOT));
  const [{ filename, files, size }] = packed;
  const names = files.map(({ path }) => path);
  check("the tarball has sources, dist, models and tutorial, and nothing that was built", () => {
    for (const name of [
      "dist/cli/main.js",
      "dist/index.d.ts",
      "dist/web/app.js",
      "CMakeLists.txt",
      "models/ajet-tiny/model.safetensors",
    ]) {
      expect(names.includes(name), `${name} is missing`);
    }
    expect(
      names.some((name) => name.startsWith("native/base/")),
      "native sources are missing",
    );
    expect(
      names.some((name) => name.startsWith("tutorial/example_math_agent/data/")),
      "the tutorial's data is missing",
    );
    const built = names.filter((name) => /(^|\/)build[^/]*\/|node_modules|saved_experiments|\.node$|\.o$/.test(name));
    expect(built.length === 0, `built files are in it: ${built.slice(0, 5)}`);
    expect(size < 20e6, `it has ${size} bytes`);
  });

  mkdirSync(project);
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
  run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", join(folder, filename)], project);

  check("npx ajet doctor finds the addon that the installation built", () => {
    const findings = run("npx", ["ajet", "doctor", "--json"], project)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(findings.find(({ name }) => name === "native core").ok, "the native core does not load");
  });

  check("npx ajet train trains the bundled tutorial from another folder", () => {
    const tiny = {
      experiment_name: "tutorial",
      "trainer_common.total_training_steps": 1,
      "data.train_batch_size": 2,
      "data.validation_limit": 2,
      "rollout.num_repeat": 2,
    };
    const sets = Object.entries(tiny).flatMap(([key, value]) => ["--set", `${key}=${value}`]);
    run("npx", ["ajet", "train", ...sets], project);
    const summary = JSON.parse(readFileSync(join(project, "saved_experiments/tutorial/summary.json"), "utf8"));
    expect(summary.steps === 1 && summary.episodes === 4 && summary.episodes_dropped === 0, JSON.stringify(summary));
  });

  check("import from ajet gives the embeddable API", () => {
    const script = `
      import { loadModel, computeAdvantages, Workflow } from "ajet";
      const loaded = await loadModel("node_modules/ajet/models/ajet-tiny");
      const engine = await loaded.createEngine();
      const [{ tokens }] = await engine.generate([1, 2, 3], { maxTokens: 2 }).then((one) => [one].flat());
      await loaded.dispose();
      if (tokens.length < 1 || typeof Workflow !== "function") throw new Error("no tokens");
      console.log(computeAdvantages([0, 1], [0, 0]).advantages.length);`;
    const output = run(process.execPath, ["--input-type=module", "-e", script], project);
    expect(output.trim() === "2", output);
  });

  console.log(`${passed} passed, 0 failed`);
} catch (error) {
  console.error(error.message);
  console.log(`${passed} passed, 1 failed`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function run(program, args, cwd) {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, encoding: "utf8", maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")} ended with ${status}:\n${stdout}\n${stderr}`);
  return stdout;
}

function check(name, body) {
  body();
  passed++;
  console.log(`ok  ${name}`);
}

function expect(condition, message) {
  if (!condition) throw new Error(`Expected otherwise: ${message}`);
}
