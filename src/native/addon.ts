import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { NativeAddon } from "./addon-types.js";
import { NativeError } from "./errors.js";
import { PACKAGE_ROOT, packageVersion } from "./package-root.js";

let loaded: NativeAddon | undefined;

/** The one loader of the addon. The first call loads it; a failure lists every attempt and is tried again next time. */
export function nativeAddon(): NativeAddon {
  loaded ??= load();
  return loaded;
}

function load(): NativeAddon {
  const version = packageVersion();
  const failures: string[] = [];
  for (const path of candidates()) {
    try {
      return loadFrom(path, version);
    } catch (error) {
      failures.push(`  ${path}: ${(error as Error).message.split("\n")[0]}`);
    }
  }
  throw new NativeError(
    [
      "The native addon did not load. Tried:",
      ...failures,
      `Build it with \`npx ajet build\` (or \`npm run install\` in ${PACKAGE_ROOT}); this needs cmake and a C++20 compiler.`,
    ].join("\n"),
    { code: "ERR_AJET_NATIVE_LOAD" },
  );
}

/** A path in AJET_NATIVE_PATH is the only candidate: running another binary in its place would hide the mistake. */
function candidates(): string[] {
  const override = process.env["AJET_NATIVE_PATH"];
  return override ? [override] : [join(PACKAGE_ROOT, "native/build/Release/ajet.node")];
}

function loadFrom(path: string, version: string): NativeAddon {
  if (!existsSync(path)) throw new Error("no such file");
  const addon = createRequire(import.meta.url)(path) as NativeAddon;
  const built = addon.info().version;
  if (built !== version) throw new Error(`built for ajet ${built}, but this is ajet ${version}`);
  return addon;
}
