import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it } from "vitest";
import { ROOT } from "../../bench/campaigns/ajet.mjs";
import { ajet, temporaryFolder } from "../cli/ajet.js";
import { makeRun } from "./run-fixture.js";

it("ajet logview prints one address, serves there, and ends on a signal", async () => {
  const experiments = join(temporaryFolder(), "x");
  await makeRun(experiments, "run");
  const child = spawn(process.execPath, [
    join(ROOT, "dist/cli/main.js"),
    "logview",
    experiments,
    "--no-open",
    "--json",
  ]);
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { url, port } = JSON.parse(line) as { url: string; port: number };
  expect(url).toContain(`http://127.0.0.1:${port}/?token=`);
  expect((await fetch(url)).status).toBe(200);
  expect((await fetch(url.split("?")[0] as string)).status).toBe(401);
  child.kill("SIGTERM");
  const [code] = (await once(child, "exit")) as [number];
  expect(code).toBe(0);
});

it("ajet logview names a folder that is not there", async () => {
  const { code, stderr } = await ajet(["logview", "/none/such", "--no-open"]);
  expect(code).toBe(2);
  expect(stderr).toContain("cannot read /none/such: ENOENT");
});
