import { cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { nativeAddon } from "../../src/native/addon.js";
import { nativeInfo } from "../../src/native/info.js";
import { runScript } from "./run-script.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

describe("the loader", () => {
  it("loads once and tells what it loaded", () => {
    expect(nativeAddon()).toBe(nativeAddon());
    const info = nativeInfo();
    expect(info.napiVersion).toBe(9);
    expect(info.cuda.available).toBe(info.cuda.reason === "");
    expect(info.cuda.devices.length > 0).toBe(info.cuda.available);
    expect(info.isas).toContain("portable");
    expect(info.isas).toContain(info.isa);
  });

  describe("in a package of its own", () => {
    let root: string;
    beforeEach(async () => {
      root = await mkdtemp(join(tmpdir(), "ajet-loader-"));
      await mkdir(join(root, "src"));
      await cp(join(ROOT, "src/native"), join(root, "src/native"), { recursive: true });
      await writeFile(join(root, "package.json"), JSON.stringify({ type: "module", version: "9.9.9" }));
    });
    afterEach(() => rm(root, { recursive: true }));

    const load = (env: NodeJS.ProcessEnv) =>
      runScript(
        `const { nativeAddon } = await import(${JSON.stringify(join(root, "src/native/addon.ts"))});
         try { nativeAddon(); } catch (error) { console.log(error.code + " " + error.message); }`,
        [],
        env,
      );

    it("lists every attempt and the remedy where there is no binary", async () => {
      const { stdout } = await load({ AJET_NATIVE_PATH: "" });
      expect(stdout).toContain("ERR_AJET_NATIVE_LOAD");
      expect(stdout).toContain(`${join(root, "native/build/Release/ajet.node")}: no such file`);
      expect(stdout).toContain("npx ajet build");
    });

    it("refuses a file that is no addon, and does not fall back to another", async () => {
      const path = join(root, "broken.node");
      await writeFile(path, "not a shared library");
      const { stdout } = await load({ AJET_NATIVE_PATH: path });
      expect(stdout).toContain(`${path}: `);
      expect(stdout).not.toContain("native/build/Release");
    });

    it("refuses a binary of another version", async () => {
      const binary = process.env["AJET_NATIVE_PATH"] ?? join(ROOT, "native/build/Release/ajet.node");
      const { stdout } = await load({ AJET_NATIVE_PATH: binary });
      expect(stdout).toMatch(/built for ajet \d+\.\d+\.\d+, but this is ajet 9\.9\.9/);
    });
  });
});
