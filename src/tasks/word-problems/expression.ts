/** An integer expression in Python's syntax together with its value. */
export interface Expression {
  text: string;
  value: number;
  operations: number;
  /** 2: sum or difference, 3: product or quotient, 4: a number. */
  precedence: 2 | 3 | 4;
}

/** A number as it stands in the problem. */
export function num(value: number): Expression {
  return { text: String(value), value, operations: 0, precedence: 4 };
}

type Operand = Expression | number;

function binary(left: Operand, symbol: string, right: Operand, precedence: 2 | 3, value: number): Expression {
  const a = operand(left);
  const b = operand(right);
  const first = a.precedence < precedence ? `(${a.text})` : a.text;
  // a+(b-c) needs no brackets; a-(b-c), a*(b//c) and a//(b*c) do.
  const bare = b.precedence > precedence || (b.precedence === precedence && symbol === "+");
  const second = bare ? b.text : `(${b.text})`;
  return { text: `${first}${symbol}${second}`, value, operations: a.operations + b.operations + 1, precedence };
}

function operand(value: Operand): Expression {
  return typeof value === "number" ? num(value) : value;
}

function numberOf(value: Operand): number {
  return operand(value).value;
}

export function add(left: Operand, right: Operand): Expression {
  return binary(left, "+", right, 2, numberOf(left) + numberOf(right));
}

export function sub(left: Operand, right: Operand): Expression {
  return binary(left, "-", right, 2, numberOf(left) - numberOf(right));
}

export function mul(left: Operand, right: Operand): Expression {
  return binary(left, "*", right, 3, numberOf(left) * numberOf(right));
}

/** Whole division; throws where the quotient is not whole, since a problem's answer must be. */
export function div(left: Operand, right: Operand): Expression {
  const quotient = numberOf(left) / numberOf(right);
  if (!Number.isInteger(quotient)) {
    throw new RangeError(`Expected ${numberOf(left)} to be a multiple of ${numberOf(right)}`);
  }
  return binary(left, "//", right, 3, quotient);
}
