import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Which folders of src/ a folder may import values from, beside itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  agent: [],
  env: ["agent", "native", "net"],
  native: [],
  net: ["native"],
  config: ["text", "native"],
  text: ["native"],
  tools: ["agent", "native"],
  agentscope: ["agent", "native"],
  remote: ["agent", "native", "net"],
  judges: ["agent", "native", "net", "env"],
  tasks: ["agent", "native", "net", "env"],
  serve: ["text", "native", "net", "agent", "rollout"],
  rollout: ["agentscope", "serve", "text", "native", "net", "env", "agent", "tools", "judges", "tasks"],
  report: ["native"],
  train: ["rollout", "serve", "text", "native", "env", "agent", "tools", "judges", "tasks", "config", "report"],
  logview: ["train", "report", "config", "native", "net"],
  cli: [
    "logview",
    "train",
    "rollout",
    "serve",
    "text",
    "native",
    "env",
    "agent",
    "tools",
    "judges",
    "tasks",
    "config",
    "report",
  ],
};

/** Which modules of native/ a module may include from, beside itself. */
const MAY_INCLUDE: Record<string, readonly string[]> = {
  base: [],
  tensor: ["base", "backend"],
  backend: ["base", "tensor"],
  model: ["base", "tensor", "backend"],
  infer: ["base", "tensor", "backend", "model"],
  train: ["base", "tensor", "backend", "model"],
  plan: ["base", "tensor", "backend", "model", "infer", "train"],
  binding: ["base", "tensor", "backend", "model", "infer", "train", "plan"],
};

function filesBelow(folder: string, ending: RegExp): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((file) => ending.test(file) && !file.includes("build/") && !file.includes("CMakeFiles"))
    .map((file) => join(folder, file));
}

describe("TypeScript", () => {
  it("imports point one way: cli -> train -> rollout -> serve -> text, native below all", () => {
    const wrong: string[] = [];
    for (const file of filesBelow("src", /\.ts$/)) {
      const from = file.split("/")[1] as string;
      if (from.endsWith(".ts")) continue;
      const text = readFileSync(join(ROOT, file), "utf8");
      // Types vanish at run time: they may come from anywhere.
      for (const [, isType, path] of text.matchAll(/^(?:import|export)\s+(type\s)?[^;]*?from\s+"(\.[^"]+)";/gm)) {
        const target = relative(join(ROOT, "src"), resolve(ROOT, dirname(file), path as string)).split(
          "/",
        )[0] as string;
        if (!isType && target !== from && !MAY_IMPORT[from]?.includes(target)) wrong.push(`${file} -> ${path}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("only cli and the worker guards print or exit", () => {
    const offenders = filesBelow("src", /\.ts$/).filter((file) => {
      if (file.startsWith("src/cli/") || file.startsWith("src/rollout/episode-worker")) return false;
      return /console\.(log|error)\(|process\.exit\(/.test(readFileSync(join(ROOT, file), "utf8"));
    });
    expect(offenders).toEqual([]);
  });
});

describe("package.json", () => {
  it("lets scripts run of packages alone that are installed", () => {
    const read = (file: string) => JSON.parse(readFileSync(join(ROOT, file), "utf8"));
    const { packages } = read("package-lock.json");
    const unknown = Object.keys(read("package.json").allowScripts ?? {}).filter(
      (name) => !(`node_modules/${name}` in packages),
    );
    expect(unknown).toEqual([]);
  });
});

describe("C++", () => {
  it("includes point one way: base <- tensor <- backend <- model <- {infer, train} <- plan <- binding", () => {
    const wrong: string[] = [];
    for (const file of filesBelow("native", /\.(h|cpp|cu|cuh)$/)) {
      const from = file.split("/")[1] as string;
      for (const [, path] of readFileSync(join(ROOT, file), "utf8").matchAll(/^#include "([^"]+)"/gm)) {
        const target = (path as string).split("/")[0] as string;
        if (target in MAY_INCLUDE && target !== from && !MAY_INCLUDE[from]?.includes(target))
          wrong.push(`${file}: ${path}`);
      }
    }
    expect(wrong).toEqual([]);
  });

  it("keeps napi.h under binding/ and CUDA's headers under backend/cuda/", () => {
    const wrong = filesBelow("native", /\.(h|cpp|cu|cuh)$/).filter((file) => {
      const text = readFileSync(join(ROOT, file), "utf8");
      const napi = /#include [<"]napi\.h[>"]/.test(text) && !file.startsWith("native/binding/");
      const cuda = /#include [<"]cuda/.test(text) && !file.startsWith("native/backend/cuda/");
      return napi || cuda;
    });
    expect(wrong).toEqual([]);
  });

  it("opens the CUDA backend in backend/device.cpp alone, and lets it be used without CUDA's headers", () => {
    const users = filesBelow("native", /\.(h|cpp)$/).filter(
      (file) =>
        !file.startsWith("native/backend/cuda/") && readFileSync(join(ROOT, file), "utf8").includes('"backend/cuda/'),
    );
    expect(users.sort()).toEqual(["native/backend/device.cpp", "native/backend/device.h"]);
    const library = readFileSync(join(ROOT, "native/backend/cuda/library.h"), "utf8");
    const includes = [...library.matchAll(/^#include (.+)$/gm)].map(([, path]) => path);
    expect(includes.filter((path) => /cuda/.test(path as string))).toEqual([]);
  });

  it("starts kernels through launch(), and ignores no error of CUDA's in silence", () => {
    const wrong = filesBelow("native/backend/cuda", /\.(h|cpp|cu|cuh)$/).filter((file) => {
      const code = readFileSync(join(ROOT, file), "utf8").replace(/\/\/.*$/gm, "");
      const text = code.replace(/^#.*$/gm, ";").replace(/\s+/g, " "); // a call may begin a line within another's arguments
      const launches = /<<</.test(text) && !file.endsWith("/launch.cuh");
      const unchecked = /(^|[;{}]|\) ) ?cuda(?!GetError(String|Name))[A-Z]\w*\(/.test(text);
      return launches || unchecked;
    });
    expect(wrong).toEqual([]);
  });

  it("calls nothing that ends the process", () => {
    const wrong = filesBelow("native", /\.(h|cpp|cu|cuh)$/).filter((file) =>
      /(^|[^_:\w.])(exit|abort|assert)\s*\(/m.test(readFileSync(join(ROOT, file), "utf8").replace(/\/\/.*$/gm, "")),
    );
    expect(wrong).toEqual([]);
  });
});
