import { type ColorBy, LEVELS } from "../../src/logview/tokens/token-color.js";

const SCALES: Record<ColorBy, readonly { kind: string; label: string; from: string; to: string }[]> = {
  logprob: [{ kind: "in", label: "in the loss", from: "likely", to: "unlikely" }],
  entropy: [{ kind: "ent", label: "in the loss, entropy", from: "0", to: "3 nats" }],
  advantage: [
    { kind: "pos", label: "in the loss, advantage above 0", from: "0", to: "+2.5" },
    { kind: "neg", label: "below 0", from: "0", to: "−2.5" },
  ],
};

/** What the colours mean. */
export function TokenLegend({ by }: { by: ColorBy }) {
  return (
    <ul class="token-legend" aria-label="Legend">
      <li>
        <span class="tok out">prompt</span> outside the loss
      </li>
      <li>
        <Ramp kind="out sampled" from="likely" to="unlikely" /> sampled, but left out
      </li>
      {SCALES[by].map(({ kind, label, from, to }) => (
        <li key={kind}>
          <Ramp kind={kind} from={from} to={to} /> {label}
        </li>
      ))}
    </ul>
  );
}

function Ramp({ kind, from, to }: { kind: string; from: string; to: string }) {
  return (
    <span class="ramp">
      <small>{from}</small>
      {Array.from({ length: LEVELS }, (_, i) => (
        <i key={i} class={`tok ${kind} l${i}`} />
      ))}
      <small>{to}</small>
    </span>
  );
}
