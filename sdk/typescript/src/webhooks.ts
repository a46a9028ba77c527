// Deliveries of directives to an HTTP endpoint: who receives one checks by its signature that it is the
// engine's (Standard Webhooks), is recent, and was not changed on the way. Needs WebCrypto alone.

/** What the engine delivers. */
export interface Delivery<Payload = unknown> {
  /** The directive's. */
  id: string;
  /** What is asked for. */
  directive: string;
  payload: Payload;
  /** The same for every delivery of it: what was done under it before is not done again. */
  idempotency_key: string;
  /** Number of the attempt, from 1. The header `webhook-id` is the same for every attempt. */
  attempt: number;
  tenant: string;
  run_id?: string;
  correlation_id: string;
  causation_id: string | null;
  requested_at: string;
}

export interface VerifyOptions {
  /** How far the clocks may be apart, and how old a delivery may be; 300 unless given. */
  toleranceSeconds?: number;
}

/** It is not known to come from the engine: answer 401, and do nothing. */
export class InvalidSignature extends Error {
  override readonly name = "InvalidSignature";
}

export type DeliveryHeaders = Headers | Record<string, string | string[] | undefined>;

/**
 * The delivery, if it is one; rejects with `InvalidSignature` if not. `body` is what was received, byte
 * for byte: JSON that was read and written again is another text.
 */
export async function verify<Payload = unknown>(
  secret: string,
  headers: DeliveryHeaders,
  body: string | Uint8Array | ArrayBuffer,
  { toleranceSeconds = 300 }: VerifyOptions = {},
): Promise<Delivery<Payload>> {
  const id = header(headers, "webhook-id");
  const timestamp = header(headers, "webhook-timestamp");
  const signatures = header(headers, "webhook-signature");
  checkAge(timestamp, toleranceSeconds);
  const bytes = bytesOf(body);
  const isSigned = await hasSignature(await keyOf(secret), concat(`${id}.${timestamp}.`, bytes), signatures);
  if (!isSigned) throw new InvalidSignature("no signature is one of this secret for this body");
  return JSON.parse(new TextDecoder().decode(bytes));
}

function header(headers: DeliveryHeaders, name: string): string {
  const value = headers instanceof Headers ? headers.get(name) : valueUnder(headers, name);
  if (typeof value !== "string" || value === "") throw new InvalidSignature(`there is no \`${name}\``);
  return value;
}

/** A name may be written in any case. */
function valueUnder(headers: Exclude<DeliveryHeaders, Headers>, name: string): unknown {
  const found = Object.entries(headers).find(([key]) => key.toLowerCase() === name);
  return Array.isArray(found?.[1]) ? found[1][0] : found?.[1];
}

function checkAge(timestamp: string, toleranceSeconds: number): void {
  if (!/^\d{1,12}$/.test(timestamp))
    throw new InvalidSignature("`webhook-timestamp` is no number of seconds");
  const ageSeconds = Math.floor(Date.now() / 1000) - Number(timestamp);
  if (ageSeconds > toleranceSeconds) throw new InvalidSignature("the delivery is too old");
  if (ageSeconds < -toleranceSeconds) throw new InvalidSignature("the delivery is from the future");
}

async function keyOf(secret: string): Promise<CryptoKey> {
  const bytes = base64(secret.replace(/^whsec_/, ""));
  // Whoever has an empty secret has configured none, and everybody could sign with it.
  if (!bytes || bytes.length === 0)
    throw new TypeError("the secret is not one: expected `whsec_` and base64");
  return crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
}

/** There may be many, one for each secret that is valid while it is changed. Compared in constant time. */
async function hasSignature(
  key: CryptoKey,
  signed: Uint8Array<ArrayBuffer>,
  signatures: string,
): Promise<boolean> {
  for (const signature of signatures.split(" ")) {
    const bytes = signature.startsWith("v1,") ? base64(signature.slice(3)) : undefined;
    if (bytes && (await crypto.subtle.verify("HMAC", key, bytes, signed))) return true;
  }
  return false;
}

function bytesOf(body: string | Uint8Array | ArrayBuffer): Uint8Array {
  if (typeof body === "string") return new TextEncoder().encode(body);
  return body instanceof Uint8Array ? body : new Uint8Array(body);
}

function concat(start: string, end: Uint8Array): Uint8Array<ArrayBuffer> {
  const first = new TextEncoder().encode(start);
  const all = new Uint8Array(first.length + end.length);
  all.set(first);
  all.set(end, first.length);
  return all;
}

function base64(text: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  } catch {
    return undefined;
  }
}
