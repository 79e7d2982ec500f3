import type { CallName, KubeApi } from './api.ts';

export interface PagesQuery {
  /** Objects a page. */
  readonly limit: number;
  readonly fieldSelector?: string;
}

/** Every object of a list, page by page, as the API's JSON. @throws {import('./api.ts').KubeError} */
export async function listAll(api: KubeApi, call: CallName, namespace: string, query: PagesQuery): Promise<readonly unknown[]> {
  const items: unknown[] = [];
  for (let next = ''; ; ) {
    const page = await api.list(call, namespace, { ...query, ...(next === '' ? {} : { next }) });
    items.push(...page.items);
    if (page.next === '') return items;
    next = page.next;
  }
}
