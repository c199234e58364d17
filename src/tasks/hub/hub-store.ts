import type { HubFile } from "./hub-api.js";

/** Where fetched files of a data set lie. */
export interface HubStore {
  /** True where the whole content is there, whoever fetched it. */
  has(file: HubFile): Promise<boolean>;
  /** Where the content goes, and where its bytes gather before. */
  target(file: HubFile): string;
  partial(file: HubFile): string;
  lock(file: HubFile): string;
  /** Gives fetched content its path, and returns it. */
  place(commit: string, file: HubFile): Promise<string>;
  /** Notes what a revision was when it was asked for. */
  writeRef(revision: string, commit: string): Promise<void>;
}
