// What the package promises about itself.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const root = new URL("../", import.meta.url);

test.each(["index", "webhooks"])("%s needs nothing of Node", (entry) => {
  const reached = new Set<string>();
  reach(new URL(`src/${entry}.ts`, root), reached);
  for (const path of reached) {
    expect(readFileSync(new URL(path), "utf8")).not.toMatch(
      /from "node:|\bBuffer\.|(?<!\.)\bprocess\.env|NodeJS\./,
    );
  }
});

test("nothing else is installed with it", () => {
  const manifest = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));
  expect(manifest.dependencies).toBeUndefined();
});

test("the lock file names no host", () => {
  expect(readFileSync(new URL("package-lock.json", root), "utf8")).not.toContain('"resolved"');
});

function reach(url: URL, reached: Set<string>): void {
  if (reached.has(url.href)) return;
  reached.add(url.href);
  for (const [, path = ""] of readFileSync(url, "utf8").matchAll(/from "(\.[^"]+)\.js"/g)) {
    reach(new URL(`${path}.ts`, url), reached);
  }
}
