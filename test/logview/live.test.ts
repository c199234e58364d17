import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Ajet, jsonLines, ROOT, temporaryFolder, tinyRun } from "../cli/ajet.js";
import { hasChromium, launchChromium } from "./chromium.mjs";

/** The test's record of what it saw; git ignores it. */
const PICTURES = join(ROOT, "build-tests/screenshots");
const STEPS = 20;
/** Steps after which the run is held, so that a machine of any speed shows the same. */
const HELD_AT = [3, 12] as const;

const experiments = temporaryFolder();
let browser: Browser;
let run: Ajet;

beforeAll(async () => {
  if (!hasChromium) return;
  mkdirSync(PICTURES, { recursive: true });
  browser = await launchChromium();
});

afterAll(async () => {
  run?.child.kill("SIGKILL");
  await browser?.close();
});

async function newPage(url: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1200, height: 760 } });
  page.setDefaultTimeout(200_000); // a loaded machine is slow
  await page.goto(url);
  return page;
}

/** Lets the run go on until a step is done, and holds it there. */
async function goOnTo(step: number): Promise<void> {
  run.child.kill("SIGCONT");
  await run.until(() => new RegExp(`^step +${step}/${STEPS}`, "m").test(run.stdout));
  run.child.kill("SIGSTOP");
}

/** How many points of the reward's curve the page has drawn. */
async function pointsDrawn(page: Page): Promise<number> {
  const curve = page.getByRole("img", { name: /^Reward\./ });
  const [, points = "0"] = /mean: (\d+) points/.exec((await curve.getAttribute("aria-label")) ?? "") ?? [];
  return Number(points);
}

it.skipIf(!hasChromium)(
  "a run's curve rises in the browser, and its bad and good cases are two clicks away",
  async () => {
    const values = {
      "trainer_common.total_training_steps": STEPS,
      "trainer_common.save_freq": 0,
      "data.train_batch_size": 4,
      "rollout.num_repeat": 8,
    };
    run = new Ajet(["train", "--with-logview", ...tinyRun(experiments, "live", values)]);
    await run.until(() => /^pages http\S+$/m.test(run.stdout));
    const url = /^pages (\S+)$/m.exec(run.stdout)?.[1] as string;
    const curves = await newPage(url);
    await curves.evaluate("window.isFirstLoad = true");

    await goOnTo(HELD_AT[0]);
    await expect.poll(() => pointsDrawn(curves), { timeout: 100_000 }).toBeGreaterThanOrEqual(HELD_AT[0]);
    const early = await pointsDrawn(curves);
    const reward = curves.locator("figure", { has: curves.getByRole("heading", { name: "Reward" }) });
    const picture = await reward.screenshot({ path: join(PICTURES, "live-reward-early.png") });

    // Two clicks each, while the run goes on: the case, and the first episode of it.
    for (const [label, mark, file] of [
      ["called without print", ".row .mark", "live-bad-case"],
      ["good: tool used, then answered", ".row .badge.good", "live-good-case"],
    ] as const) {
      const episodes = await newPage(url.replace(/#.*/, "#/episodes?run=live"));
      await episodes.getByRole("button", { name: label }).click();
      await episodes.locator(mark).first().waitFor();
      await episodes.locator(".row").first().click();
      await episodes.locator(".conversation .tok.in").first().waitFor();
      const facts = await episodes.getByLabel("The episode").innerText();
      expect(facts).toContain(label.startsWith("good") ? "success" : label);
      expect(facts).toContain("execute_python_code");
      expect(await episodes.locator(".live-state").innerText()).toContain("1 run goes on");
      await episodes.screenshot({ path: join(PICTURES, `${file}.png`) });
      await episodes.close();
    }

    await goOnTo(HELD_AT[1]);
    await expect.poll(() => pointsDrawn(curves), { timeout: 100_000 }).toBeGreaterThanOrEqual(HELD_AT[1]);
    expect(await pointsDrawn(curves)).toBeGreaterThan(early);
    expect(await curves.locator(".live-state").innerText()).toContain("1 run goes on");
    expect(await curves.evaluate("window.isFirstLoad")).toBe(true);
    expect((await reward.screenshot({ path: join(PICTURES, "live-reward-later.png") })).equals(picture)).toBe(false);
    await curves.screenshot({ path: join(PICTURES, "live-curves.png") });

    run.child.kill("SIGCONT");
    const { code, stderr } = await run.finished;
    expect(stderr).not.toContain("error");
    expect(code).toBe(0);
    const rewards = jsonLines(readFileSync(join(experiments, "live", "metrics.jsonl"), "utf8")).map(
      (line) => line["critic/rewards/mean"] as number,
    );
    expect(rewards).toHaveLength(STEPS);
    const mean = (part: readonly number[]) => part.reduce((sum, one) => sum + one, 0) / part.length;
    expect(mean(rewards.slice(-5))).toBeGreaterThan(mean(rewards.slice(0, 5)));
    await curves.close();
  },
);
