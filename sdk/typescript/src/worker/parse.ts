// What turns an input from anywhere into the input of a handler: a function, or a schema of any library
// that implements Standard Schema (https://standardschema.dev).

export interface StandardSchema<Input> {
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Input> | Promise<Validated<Input>>;
    readonly types?: { readonly input: unknown; readonly output: Input } | undefined;
  };
}

type Validated<Input> =
  | { readonly value: Input; readonly issues?: undefined }
  | { readonly issues: readonly Issue[] };

interface Issue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

export type Parse<Input> = StandardSchema<Input> | ((value: unknown) => Input | Promise<Input>);

/** Rejects with what is wrong, all at once. */
export async function parsed<Input>(parse: Parse<Input>, value: unknown): Promise<Input> {
  // Some libraries' schemas are functions: what they say about themselves counts first.
  if (!("~standard" in parse)) return parse(value);
  const result = await parse["~standard"].validate(value);
  if (result.issues) throw new Error(result.issues.map(issueText).join("; "));
  return result.value;
}

function issueText({ message, path = [] }: Issue): string {
  const keys = path.map((key) => String(typeof key === "object" ? key.key : key));
  return keys.length > 0 ? `${keys.join(".")}: ${message}` : message;
}
