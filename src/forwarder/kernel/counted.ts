/** Pure. Elements with counters out of what `nft list map`, `list set` or `get element` prints, by key. */
export function parseCounted(text: string): ReadonlyMap<string, { readonly packets: number; readonly bytes: number }> {
  const found = new Map<string, { packets: number; bytes: number }>();
  for (const match of text.matchAll(/(\S+ \. \w+ \. \d+)(?: timeout \S+| expires \S+)* counter packets (\d+) bytes (\d+)/g)) {
    found.set(match[1]!, { packets: Number(match[2]), bytes: Number(match[3]) });
  }
  return found;
}
