import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FileError } from "../native/errors.js";
import { PACKAGE_ROOT } from "../native/package-root.js";

/** A file of the front end. */
export interface PageFile {
  type: string;
  content: Buffer;
}

/** What stands for the access token in the files. */
export const TOKEN_PLACE = "{{token}}";

const TYPES = { "index.html": "text/html", "app.js": "text/javascript", "app.css": "text/css" } as const;

/**
 * The built pages, by URL.
 * @param token Written into the page's own links, so that its script and style may be fetched.
 * @throws FileError where they were not built.
 */
export function loadPages(token: string): ReadonlyMap<string, PageFile> {
  const folder = join(PACKAGE_ROOT, "dist/web");
  const files = Object.entries(TYPES).map(([name, type]): [string, PageFile] => {
    try {
      const content = readFileSync(join(folder, name));
      const isPage = name === "index.html";
      return [
        isPage ? "/" : `/${name}`,
        {
          type: `${type}; charset=utf-8`,
          content: isPage ? Buffer.from(content.toString("utf8").replaceAll(TOKEN_PLACE, token)) : content,
        },
      ];
    } catch (error) {
      throw new FileError(
        `The pages were not built: ${join(folder, name)} is missing. Run \`node scripts/build-web.mjs\``,
        {
          cause: error,
        },
      );
    }
  });
  return new Map(files);
}
