/** An exact number: `numerator / denominator` in lowest terms, the denominator positive. */
export interface Rational {
  numerator: bigint;
  denominator: bigint;
}

/** Longer digit strings are no answers to compare. */
const MAX_DIGITS = 400;

/**
 * Reads a number as people and LaTeX write it: `1,000`, `$5`, `18.0`, `50\%`, `\frac{1}{2}`, `1 1/2`, `12 apples`.
 * Currency signs, percent signs and units are dropped, so `$5`, `5%` and `5 dollars` all read as 5.
 */
export function parseNumber(text: string): Rational | undefined {
  const plain = dropUnit(plainText(text));
  const mixed = /^([+-]?)(\d+)[ +](\d+\/\d+)$/.exec(plain);
  if (mixed) {
    const [, sign, whole = "", part = ""] = mixed;
    const sum = add(parseQuotient(whole), parseQuotient(part));
    return sum && sign === "-" ? { ...sum, numerator: -sum.numerator } : sum;
  }
  return parseQuotient(plain.replaceAll(" ", ""));
}

/** LaTeX and typographic marks that do not change a value, taken away. */
export function plainText(text: string): string {
  return text
    .normalize("NFKC")
    .replace(/\\(?:text|textbf|textit|textrm|mathrm|mathbf|mbox)\s*\{([^{}]*)\}/g, " $1 ")
    .replace(/\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}/g, " $1/$2 ")
    .replace(/\\[dt]?frac\s*(\d)\s*(\d)/g, " $1/$2 ")
    .replace(/\{,\}/g, ",")
    .replace(/\\[!,;: ]|\\left|\\right|~/g, " ")
    .replace(/[−–]/g, "-")
    .replace(/\\?[$€£¥₹]|\\?%/g, " ")
    .replace(/\s+/g, " ")
    .trim()
    .replace(/([+-]) (?=[\d.])/, "$1")
    .replace(/\.$/, "");
}

/** Words that multiply what stands before them are no units. */
const MULTIPLIER = /\b(?:hundred|thousand|million|billion|trillion|dozen|half|halves|thirds?|quarters?)\b/i;

function dropUnit(text: string): string {
  const match = /^([+-]?[\d.,/ ]*\d)\s*([a-z][a-z ]*)\.?$/i.exec(text);
  return match?.[1] !== undefined && !MULTIPLIER.test(match[2] ?? "") ? match[1] : text;
}

function parseQuotient(text: string): Rational | undefined {
  const [upper = "", lower, ...more] = text.split("/");
  const numerator = parseDecimal(upper);
  if (!numerator || more.length > 0) return undefined;
  if (lower === undefined) return numerator;
  const denominator = parseDecimal(lower);
  if (!denominator || denominator.numerator === 0n) return undefined;
  const sign = denominator.numerator < 0n ? -1n : 1n;
  return reduce(
    sign * numerator.numerator * denominator.denominator,
    sign * numerator.denominator * denominator.numerator,
  );
}

function parseDecimal(text: string): Rational | undefined {
  if (text.length > MAX_DIGITS) return undefined;
  const ungrouped = /^[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?$/.test(text) ? text.replaceAll(",", "") : text;
  const match = /^([+-]?)(\d*)\.?(\d*)(?:e([+-]?\d{1,2}))?$/i.exec(ungrouped);
  if (!match) return undefined;
  const [, sign, whole = "", fraction = "", exponent = "0"] = match;
  if (whole + fraction === "") return undefined;
  const digits = BigInt(whole + fraction) * (sign === "-" ? -1n : 1n);
  const scale = Number(exponent) - fraction.length;
  return scale >= 0 ? reduce(digits * 10n ** BigInt(scale), 1n) : reduce(digits, 10n ** BigInt(-scale));
}

function add(a: Rational | undefined, b: Rational | undefined): Rational | undefined {
  if (!a || !b) return undefined;
  return reduce(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator);
}

function reduce(numerator: bigint, denominator: bigint): Rational {
  let [a, b] = [numerator < 0n ? -numerator : numerator, denominator];
  while (b > 0n) [a, b] = [b, a % b];
  return a === 0n ? { numerator: 0n, denominator: 1n } : { numerator: numerator / a, denominator: denominator / a };
}
