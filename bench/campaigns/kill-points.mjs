/**
 * SIGKILL at random moments: each run is killed, resumed, perhaps killed again, and must end with the weights, moments,
 * metrics and summary of a run that was never killed, to the last bit.
 *
 *   node bench/campaigns/kill-points.mjs [kills, default 20] [seed, default 1]
 *
 * Takes about 5 s a kill on 2 cores. Exits 1 where a run differs.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Ajet, ajet, runDigest, tinyRun } from "./ajet.mjs";

const kills = Number(process.argv[2] ?? 20);
const STEPS = 6;
const SETTINGS = { "trainer_common.total_training_steps": STEPS, "trainer_common.keep_checkpoints": 2 };
const folder = mkdtempSync(join(tmpdir(), "ajet-kills-"));
const random = generator(Number(process.argv[3] ?? 1));

const started = Date.now();
const whole = await ajet(["train", ...tinyRun(folder, "whole", SETTINGS)]);
if (whole.code !== 0) throw new Error(whole.stderr);
const wholeMs = Date.now() - started;
const expected = runDigest(join(folder, "whole"), STEPS);
console.log(`never killed: ${wholeMs} ms, ${expected.slice(0, 16)}`);

let differing = 0;
for (let kill = 1; kill <= kills; kill++) {
  const name = `killed_${kill}`;
  const moments = [];
  // A run that was killed before it had a folder starts anew.
  const args = () =>
    existsSync(join(folder, name))
      ? ["train", "--resume", name, "--set", `experiment_dir=${folder}`]
      : ["train", ...tinyRun(folder, name, SETTINGS)];
  // A third of the runs is killed twice.
  for (let times = random() < 1 / 3 ? 2 : 1; times > 0; times--) {
    const moment = Math.round(random() * wholeMs);
    const { child, finished } = new Ajet(args());
    const timer = setTimeout(() => child.kill("SIGKILL"), moment);
    const { signal } = await finished;
    clearTimeout(timer);
    moments.push(`${moment} ms${signal === null ? " (it had ended)" : ""}`);
  }
  const last = await ajet(args());
  const same = last.code === 0 && runDigest(join(folder, name), STEPS) === expected;
  if (!same) differing++;
  console.log(
    `${String(kill).padStart(3)}  killed after ${moments.join(" and ")}: ${same ? "same" : `DIFFERENT ${last.stderr}`}`,
  );
  rmSync(join(folder, name), { recursive: true, force: true });
}
console.log(`${kills - differing} of ${kills} runs end like the one that was never killed`);
rmSync(folder, { recursive: true });
process.exit(differing === 0 ? 0 : 1);

/** xorshift32: the same seed gives the same moments. */
function generator(seed) {
  let state = seed * 2654435761 || 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
}
