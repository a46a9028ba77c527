// Lists, page by page or item by item, for any operation that answers with a `next_cursor`.

interface Page {
  next_cursor?: string | null;
}

interface Query {
  cursor?: string;
}

/** Follows `next_cursor` to the last page: `pages(client.run.list, { status: "failed" })`. */
export async function* pages<P extends Page, Q extends Query>(
  list: (query?: Q) => Promise<P>,
  query?: Q,
): AsyncGenerator<P, void, undefined> {
  let cursor = query?.cursor;
  do {
    const page = await list({ ...query, ...(cursor !== undefined && { cursor }) } as Q);
    yield page;
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
}

/** The same, one item after the other. */
export async function* items<Item, Q extends Query>(
  list: (query?: Q) => Promise<Page & { items: Item[] }>,
  query?: Q,
): AsyncGenerator<Item, void, undefined> {
  for await (const page of pages(list, query)) yield* page.items;
}
