// Signatures, held against the reference library of Standard Webhooks.
import { Webhook } from "standardwebhooks";
import { expect, test } from "vitest";
import { InvalidSignature, verify } from "../src/webhooks.js";

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const body = JSON.stringify({ id: "dir_1", directive: "mail.send", payload: { to: "ä@example.com" } });

function signed({ at = new Date(), by = secret, text = body } = {}): Record<string, string> {
  return {
    "webhook-id": "dir_1",
    "webhook-timestamp": String(Math.floor(at.getTime() / 1000)),
    "webhook-signature": new Webhook(by).sign("dir_1", at, text),
  };
}

test("what the reference library signs is a delivery, in whatever form it comes", async () => {
  const headers = signed();
  const bytes = new TextEncoder().encode(body);
  for (const received of [body, bytes, bytes.buffer, Buffer.from(body)]) {
    expect(await verify(secret, headers, received)).toEqual(JSON.parse(body));
  }
  expect(await verify(secret, new Headers(headers), body)).toMatchObject({ directive: "mail.send" });
  const others = { "Webhook-Id": "dir_1", ...signed(), "webhook-id": undefined, other: ["a", "b"] };
  expect(await verify(secret.slice(6), others, body)).toMatchObject({ id: "dir_1" });
});

test("the example of the specification is right, if one could go back to it", async () => {
  const headers = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
  };
  const text = '{"test": 2432232314}';
  expect(await verify(secret, headers, text, { toleranceSeconds: 1e10 })).toEqual({ test: 2432232314 });
});

test("one of many signatures is enough", async () => {
  const headers = signed();
  const others = `v1a,AAAA v1,AAAA v1,!!! ${headers["webhook-signature"]}`;
  expect(await verify(secret, { ...headers, "webhook-signature": others }, body)).toBeDefined();
});

test.each([
  ["another secret", signed({ by: "whsec_AAAA" }), body, "no signature"],
  ["another body", signed(), `${body} `, "no signature"],
  ["another id", { ...signed(), "webhook-id": "dir_2" }, body, "no signature"],
  ["no signature", { ...signed(), "webhook-signature": undefined }, body, "there is no `webhook-signature`"],
  ["no time", { ...signed(), "webhook-timestamp": "now" }, body, "no number of seconds"],
  ["an old one", signed({ at: new Date(Date.now() - 302_000) }), body, "too old"],
  ["one that is to come", signed({ at: new Date(Date.now() + 302_000) }), body, "from the future"],
])("%s is refused", async (_, headers, text, message) => {
  const refused = verify(secret, headers, text);
  await expect(refused).rejects.toBeInstanceOf(InvalidSignature);
  await expect(refused).rejects.toThrow(message);
});

test("an empty secret is none", async () => {
  await expect(verify("whsec_", signed(), body)).rejects.toThrow("the secret is not one");
});
