import { type MetricRecord, NOWHERE, positionOf } from "../contract.js";

/** Limit of one log-batch request. */
const MOST_METRICS = 1000;

/** The run's tag with the place of the last record that the server has. */
export const HOLDS_TAG = "ajet.holds";

/** A metric's value, as log-batch takes it. */
export interface Point {
  key: string;
  value: number;
  /** ms since 1970 */
  timestamp: number;
  step: number;
}

/** What one log-batch request brings. */
export interface Batch {
  metrics: Point[];
  /** {@link HOLDS_TAG}, with the last points of a record. */
  tags: { key: string; value: string }[];
}

/** A name as MLflow takes it: letters, digits and `_-./: `, so `val/pass@4` is `val/pass_at_4`. */
export function mlflowName(name: string): string {
  return name.replaceAll("@", "_at_").replace(/[^\w\-./: ]/g, "_");
}

/** Records as requests: whole ones together as far as the limit goes, a larger one in parts. */
export function* batchesOf(records: readonly MetricRecord[]): Generator<Batch> {
  let metrics: Point[] = [];
  let holds = NOWHERE;
  const tags = () => [{ key: HOLDS_TAG, value: String(holds) }];
  for (const record of records) {
    const points = pointsOf(record);
    if (metrics.length > 0 && metrics.length + points.length > MOST_METRICS) {
      yield { metrics, tags: tags() };
      metrics = [];
    }
    metrics.push(...points);
    while (metrics.length > MOST_METRICS) yield { metrics: metrics.splice(0, MOST_METRICS), tags: [] };
    holds = positionOf(record);
  }
  if (metrics.length > 0) yield { metrics, tags: tags() };
}

function pointsOf({ time: timestamp, step, values }: MetricRecord): Point[] {
  return Object.entries(values).map(([name, value]) => ({ key: mlflowName(name), value, timestamp, step }));
}
