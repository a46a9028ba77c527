// The mail server of the README's example, which is not there: it is well, then busy, then broken.
const statuses = [200, 429, 500];
const real = globalThis.fetch;

globalThis.fetch = async (url, init) => {
  const isMail = String(url).startsWith("https://mail.example.com/");
  return isMail ? new Response("", { status: statuses.shift() ?? 500 }) : real(url, init);
};
