import type { EpisodeResult } from "../rollout/episode.js";
import type { FetchProgress } from "../tasks/hub/dataset-files.js";
import type { EvaluationResult } from "./evaluation.js";
import type { StepMetrics } from "./step-metrics.js";

/** What is known before the first step. */
export interface RunStart {
  device: string;
  /** Which isolation the Python tool has. */
  isolation: string;
  totalSteps: number;
  firstStep: number;
  trainingTasks: number;
  /** Where Prometheus can fetch the run's metrics. */
  metricsUrl: string;
}

/** What a run tells while it goes on. */
export interface RunListener {
  /** While the data set is fetched. */
  onFetch?(progress: FetchProgress): void;
  onStart?(start: RunStart): void;
  /** A rollout or an evaluation begins. */
  onPhase?(phase: string, episodes: number): void;
  onEpisode?(result: EpisodeResult): void;
  onEvaluation?(moment: string, result: EvaluationResult): void;
  onStep?(metrics: StepMetrics, totalSteps: number): void;
  onCheckpoint?(folder: string): void;
  /** Something worth knowing, such as where a logger writes. */
  onNote?(text: string): void;
  /** Something that the run survives but that makes it pointless. */
  onWarning?(text: string): void;
}
