import { ConfigError, NetworkError } from "../../native/errors.js";
import type { HubSettings } from "./hub-settings.js";

/** What a response that is no success means: a ConfigError where asking again cannot help. */
export function hubRefusal(response: Response, repo: string, url: string, settings: HubSettings): Error {
  const { status } = response;
  const code = response.headers.get("x-error-code") ?? "";
  const page = `${settings.endpoint}/datasets/${repo}`;
  const hasToken = settings.token !== undefined;
  if (code === "GatedRepo" || status === 403) {
    return new ConfigError(
      hasToken
        ? `The data set ${repo} is gated, and the account of HF_TOKEN may not read it: ask for access at ${page}`
        : `The data set ${repo} is gated: ask for access at ${page}, and set HF_TOKEN to a token of that account`,
    );
  }
  if (code === "RevisionNotFound") return new ConfigError(`The data set ${repo} has no such revision: ${url}`);
  if (code === "EntryNotFound") return new ConfigError(`The data set ${repo} has no such file: ${url}`);
  // The hub answers 401 for what does not exist, unless it knows who asks.
  if (status === 401) {
    return new ConfigError(
      hasToken
        ? `${settings.endpoint} does not accept HF_TOKEN (asked for the data set ${repo})`
        : `There is no data set ${repo} at ${settings.endpoint}, or it is private or gated: set HF_TOKEN to read it`,
    );
  }
  if (status === 404) return new ConfigError(`There is no data set ${repo} at ${settings.endpoint}: check the name`);
  const statusText = response.statusText === "" ? "" : ` ${response.statusText}`;
  return new NetworkError(`${settings.endpoint} answered ${status}${statusText} for the data set ${repo} (${url})`);
}
