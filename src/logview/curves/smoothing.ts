/**
 * Exponential moving average without the pull towards 0 at the start (Adam's bias correction).
 * @param weight Of what came before, from 0 (nothing changes) to below 1.
 */
export function smoothed(values: readonly number[], weight: number): number[] {
  let average = 0;
  let mass = 0;
  return values.map((value) => {
    if (!Number.isFinite(value)) return value;
    average = weight * average + (1 - weight) * value;
    mass = weight * mass + (1 - weight);
    return average / mass;
  });
}
