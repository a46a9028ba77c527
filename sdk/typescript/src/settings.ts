// Which server, and with which key: from arguments, or from the environment where there is one.

export interface Settings {
  /** Where the server is; else `FLEETPROMPT_URL`, else `http://127.0.0.1:7070`. */
  url?: string;
  /** The API key; else `FLEETPROMPT_KEY`. */
  key?: string;
  /** What sends requests, if not the global `fetch`. */
  fetch?: typeof fetch;
}

/** The settings of one server, complete and checked. */
export interface Connection {
  /** Without a slash at its end. */
  url: string;
  key: string | undefined;
  fetch: typeof fetch;
}

const URL_DEFAULT = "http://127.0.0.1:7070";

export function connection(settings: Settings): Connection {
  return {
    url: checkedUrl(settings.url ?? fromEnvironment("FLEETPROMPT_URL") ?? URL_DEFAULT),
    key: checkedKey(settings.key ?? fromEnvironment("FLEETPROMPT_KEY")),
    // Browsers refuse a `fetch` that is called as a method of something else.
    fetch: settings.fetch ?? ((input, init) => fetch(input, init)),
  };
}

function fromEnvironment(name: string): string | undefined {
  const process = (globalThis as { process?: { env?: Record<string, string | undefined> } }).process;
  return process?.env?.[name] || undefined;
}

function checkedUrl(text: string): string {
  const isHttp = URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  if (!isHttp)
    throw new TypeError(`\`${text}\` is not the URL of a server: expected one like ${URL_DEFAULT}`);
  return text.replace(/\/+$/, "");
}

/** Nothing of the key is shown. */
function checkedKey(key: string | undefined): string | undefined {
  if (key !== undefined && !/^[\x21-\x7e]+$/.test(key)) {
    throw new TypeError("the key is not one: expected `fp_` and plain letters and digits, without spaces");
  }
  return key;
}
