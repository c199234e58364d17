import { beforeAfterRates } from "../../src/logview/before-after.js";
import { percent } from "../app/format.js";

/** Success on the held-out tasks before and after training; nothing where it was not measured. */
export function BeforeAfter({ summary }: { summary: Record<string, unknown> | null }) {
  const rates = beforeAfterRates(summary);
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
            <td class={before !== undefined && after > before ? "better" : ""}>{percent(after)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
