import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

/** Where the compiled modules are: threads run what is shipped, also where this runs from its sources (in tests). */
const COMPILED = new URL(import.meta.url.endsWith(".ts") ? "../../dist/rollout/" : "./", import.meta.url);
/** What `import … from "ajet"` gives. */
export const OWN_EXPORTS = new URL("../index.js", COMPILED);

/** Module that a worker thread starts with. */
export function workerEntry(): URL {
  return new URL("./episode-worker.js", COMPILED);
}

/** Module that switches on, for the thread that imports it, what it takes to load user code. */
export function loaderModule(): URL {
  // What `import` of tsx/esm/api and tsx/cjs/api gives; tsx's CommonJS build of the former looks for its files elsewhere.
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx/package.json"));
  const [esm, cjs] = ["esm", "cjs"].map((kind) => JSON.stringify(new URL(`dist/${kind}/api/index.mjs`, tsx).href));
  // "ajet" is loaded before the loader is there: behind it, that takes several times as long.
  return dataUrl(`
    import ${JSON.stringify(OWN_EXPORTS.href)};
    import { register } from "node:module";
    import * as esm from ${esm};
    import * as cjs from ${cjs};
    esm.register();
    cjs.register();
    register(${JSON.stringify(resolver().href)});
  `);
}

/**
 * Lets user code import "ajet" from any folder, and get this very copy; and takes TypeScript as ES modules, whether or not
 * a package.json beside it says so.
 */
function resolver(): URL {
  return dataUrl(`
    const index = ${JSON.stringify(OWN_EXPORTS.href)};
    export async function resolve(specifier, context, next) {
      const resolved = await next(specifier === "ajet" ? index : specifier, context);
      const isModule = /\\.m?tsx?([?#]|$)/.test(resolved.url) && !resolved.url.includes("/node_modules/");
      return isModule ? { ...resolved, format: "module" } : resolved;
    }
  `);
}

function dataUrl(code: string): URL {
  return new URL(`data:text/javascript,${encodeURIComponent(code)}`);
}
