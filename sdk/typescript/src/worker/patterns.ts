// Which handler a name belongs to: `mail.send` is said by itself, by `mail.*` and by `*`, and the one
// that says most about it counts.

const PATTERN = /^(\*|[^\s*]+(\.\*)?)$/;

export class Patterns<T> {
  readonly #entries = new Map<string, T>();

  add(pattern: string, entry: T): void {
    if (!PATTERN.test(pattern)) {
      throw new TypeError(`\`${pattern}\` says no names: expected one like mail.send, mail.* or *`);
    }
    if (this.#entries.has(pattern)) throw new TypeError(`\`${pattern}\` has a handler already`);
    this.#entries.set(pattern, entry);
  }

  find(name: string): T | undefined {
    const matching = this.all().filter((pattern) => matches(pattern, name));
    const [closest] = matching.sort((a, b) => b.length - a.length || a.localeCompare(b));
    return this.#entries.get(this.#entries.has(name) ? name : (closest ?? ""));
  }

  all(): string[] {
    return [...this.#entries.keys()];
  }
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}
