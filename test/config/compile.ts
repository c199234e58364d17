import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Compiles src to dist where it is out of date: the tests of the command line run what is shipped. */
export function setup(): void {
  execFileSync(process.execPath, [fileURLToPath(new URL("../../scripts/prepare.cjs", import.meta.url))], {
    stdio: "inherit",
  });
}
