// JSON as the server takes it. `JSON.stringify` alone lets things through that become something else on
// the way (NaN becomes null) or that no strict reader accepts (half of a surrogate pair).

/** Throws a TypeError that says what is no JSON. `undefined` is `null`. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value ?? null, checked);
  if (text === undefined) throw new TypeError(`a ${typeof value} is no JSON`);
  return text;
}

function checked(key: string, value: unknown): unknown {
  if (typeof value === "number" && !Number.isFinite(value)) throw new TypeError(`${value} is no JSON`);
  if (!key.isWellFormed() || (typeof value === "string" && !value.isWellFormed())) {
    throw new TypeError("a text with half of a surrogate pair is no JSON");
  }
  return value;
}

/** Any text, made safe to send and not longer than is useful. */
export function plainText(text: string, max: number): string {
  return (text.length > max ? `${text.slice(0, max - 1)}…` : text).toWellFormed();
}
