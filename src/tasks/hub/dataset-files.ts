/** The files of a data set, wherever they lie. */
export interface DatasetFiles {
  /** For messages. */
  readonly name: string;
  /** Below the data set's root, with slashes. */
  readonly paths: readonly string[];
  /** Makes files of `paths` readable here; their places, in the same order. */
  fetch(paths: readonly string[]): Promise<string[]>;
}

/** How far a download is. */
export interface FetchProgress {
  dataset: string;
  /** Files that were missing. */
  files: number;
  /** Bytes of those files; what an earlier run had of them counts as received. */
  received: number;
  total: number;
}

export type OnProgress = (progress: FetchProgress) => void;
