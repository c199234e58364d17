import type { GroupToWrite } from "../../src/report/token-log/written.js";

export interface StepShape {
  groups?: number;
  episodes?: number;
  turns?: number;
  prompt?: number;
  sampled?: number;
  observed?: number;
}

export function random(seed: number): () => number;
export function tokenText(id: number): string;
export function tokenBytes(id: number): Uint8Array;
export function generatedStep(step: number, shape?: StepShape): GroupToWrite[];
