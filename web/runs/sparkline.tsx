import type { RunInfo } from "../../src/logview/api-types.js";

const WIDTH = 220;
const HEIGHT = 64;

/** The mean reward of a run in one small curve. */
export function Sparkline({ spark: { steps, rewards }, color }: { spark: RunInfo["spark"]; color: string }) {
  const first = rewards[0];
  const last = rewards.at(-1);
  if (first === undefined || last === undefined) return <div class="spark muted">no step yet</div>;
  const [low, high] = [Math.min(0, ...rewards), Math.max(1, ...rewards)];
  const [from, to] = [steps[0] as number, steps.at(-1) as number];
  const x = (step: number) => (to === from ? WIDTH : 3 + ((step - from) / (to - from)) * (WIDTH - 8));
  const y = (reward: number) => 3 + (1 - (reward - low) / (high - low)) * (HEIGHT - 6);
  const points = rewards.map((reward, i) => `${x(steps[i] as number).toFixed(1)},${y(reward).toFixed(1)}`);
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      role="img"
      aria-label={`Reward from ${first.toFixed(3)} at step ${from} to ${last.toFixed(3)} at step ${to}`}
    >
      <line x1="0" x2={WIDTH} y1={y(0)} y2={y(0)} class="spark-base" />
      <polyline points={points.join(" ")} fill="none" stroke={color} stroke-width="2" stroke-linejoin="round" />
      <circle cx={x(to)} cy={y(last)} r="3" fill={color} />
    </svg>
  );
}
