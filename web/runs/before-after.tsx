import { percent } from "../app/format.js";

const RATES = [
  ["held out, sampled", "success_rate"],
  ["held out, greedy", "greedy_success_rate"],
  ["unseen, sampled", "unseen_success_rate"],
  ["unseen, greedy", "unseen_greedy_success_rate"],
] as const;

/** Success on the held-out tasks before and after training; nothing where it was not measured. */
export function BeforeAfter({ summary }: { summary: Record<string, unknown> | null }) {
  const rates = RATES.flatMap(([label, key]) => {
    const [before, after] = [summary?.[`${key}_before`], summary?.[`${key}_after`]];
    return typeof after === "number" ? [{ label, before, after }] : [];
  });
  if (rates.length === 0) return null;
  return (
    <table class="before-after">
      <thead>
        <tr>
          <th scope="col">success</th>
          <th scope="col">before</th>
          <th scope="col">after</th>
        </tr>
      </thead>
      <tbody>
        {rates.map(({ label, before, after }) => (
          <tr key={label}>
            <th scope="row">{label}</th>
            <td>{percent(before)}</td>
            <td class={typeof before === "number" && after > before ? "better" : ""}>{percent(after)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
