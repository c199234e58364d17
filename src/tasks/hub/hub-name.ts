import { ConfigError } from "../../native/errors.js";

/** A data set's name on the hub, and which of its configurations (subsets). */
export interface HubName {
  /** `owner/name`; a few old data sets have no owner. */
  repo: string;
  config?: string;
}

/** Reads `owner/name` or `owner/name/config`. @param key Where it was given, for the message. */
export function parseHubName(text: string, key: string): HubName {
  const [owner = "", name, config, ...more] = text.split("/");
  const steps = [owner, name, config].filter((step) => step !== undefined);
  if (more.length > 0 || !steps.every((step) => /^[\w-][\w.-]*$/.test(step))) {
    throw new ConfigError(
      `Expected a data set of the hub (owner/name or owner/name/config) or a folder that exists in \`${key}\` ` +
        `but received ${JSON.stringify(text)}`,
    );
  }
  return { repo: name === undefined ? owner : `${owner}/${name}`, ...(config === undefined ? {} : { config }) };
}
