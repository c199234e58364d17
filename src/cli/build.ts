import { spawnSync } from "node:child_process";
import type { Command } from "commander";
import { NativeError } from "../native/errors.js";
import { PACKAGE_ROOT } from "../native/package-root.js";
import { plainSettings } from "./model-settings.js";
import { type CommonOptions, command, withOverrides } from "./options.js";

interface BuildOptions extends CommonOptions {
  cuda?: boolean;
  set: string[];
}

/** `ajet build`: compiles the native addon by hand. */
export function addBuild(program: Command): void {
  const build = command(program, "build", "compiles the native addon").option(
    "--cuda",
    "with the CUDA backend (needs nvcc)",
  );
  withOverrides(build, "checked as for a run; no key changes the build").action((options: BuildOptions) => {
    plainSettings(options);
    const built = spawnSync("npm", ["run", "install"], {
      cwd: PACKAGE_ROOT,
      stdio: "inherit",
      env: { ...process.env, ...(options.cuda ? { AJET_CUDA: "ON" } : {}) },
    });
    if (built.status !== 0) throw new NativeError(`The build in ${PACKAGE_ROOT} failed: see the output above`);
  });
}
