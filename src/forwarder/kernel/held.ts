import { type Aim, type Family, type Plan, placesOf } from './plan.ts';
import { fillSlots, hashOf } from './slots.ts';
import { HASH_SEED, listenerOf, slotOfSender } from './words.ts';

/**
 * Slots of all listeners together that the kernel remembers the target of, for each family: all of 256 listeners, most of which are never in
 * use at once. Each takes some 100 bytes of the kernel's memory (25,000 took 2.4 MB). Clients of a slot that finds no room go where their
 * hash says.
 */
const MOST_HELD = 262_144;
/** Longer times are cut to this: a year. The API's own limit is a day. */
const LONGEST_SECONDS = 31_536_000;

/**
 * Pure. The table of slots that have a target for some time: a map that the packets themselves fill, which is there while a listener needs
 * it. A change of targets does not touch it; it goes with the table.
 */
export function heldLines(before: Plan, after: Plan, table: string): { readonly come: string[]; readonly gone: string[] } {
  const [had, has] = [familiesHeld(before), familiesHeld(after)];
  // nft knows the type of a hash by no name; that of a connection's id is the same.
  const address = { 4: 'ip daddr', 6: 'ct id' };
  const type = (family: Family) => `typeof ${address[family]} . meta l4proto . th dport . ct id : meta priority`;
  const more = `flags dynamic, timeout; size ${MOST_HELD};`;
  return {
    come: [...has].filter((one) => !had.has(one)).map((one) => `add map inet ${table} held${one} { ${type(one)}; ${more} }`),
    gone: [...had].filter((one) => !has.has(one)).map((one) => `delete map inet ${table} held${one}`),
  };
}

/**
 * Pure. The rules of a chain that sends a slot to the target that it has, and otherwise to the one with the highest score (rendezvous),
 * which it has from then on. What the map has of a target that is no longer among them is forgotten with the slot's next connection
 * (beside a change of rules that is safe from Linux 6.5 and the stable releases of its time on:
 * https://git.kernel.org/linus/c92db3030492b8ad1d0faace7a93bbcf53850d0c).
 *
 * nft cannot look something up by what it has looked up unless that stands somewhere meanwhile: here in the priority of the packet, which
 * is the first of its connection. Marks are other people's; the priority is set anew when an IPv4 packet is routed, and to all that
 * sorts by it (queues, VLANs) these numbers are as good as 0.
 * @param send a rule that sends to what an expression chooses
 */
export function renderHeld(aim: Aim, send: (choice: string) => string): readonly string[] {
  const { family } = aim;
  const places = placesOf(aim);
  const tags = tagsOf(places);
  const slot = `${hashedListener(family)} . ${slotOfSender(family)}`;
  const unknown = `meta priority != { ${[...tags.values()].join(', ')} }`;
  const best = fillSlots(places).map((target, i) => `${i} : ${tags.get(places[target]!)}`);
  const stayMs = Math.ceil(Math.min(aim.staySeconds ?? 0, LONGEST_SECONDS) * 1_000);
  return [
    `meta priority set ${slot} map @held${family}`,
    `${unknown} delete @held${family} { ${slot} : meta priority }`,
    `${unknown} meta priority set ${slotOfSender(family)} map { ${best.join(', ')} }`,
    `update @held${family} { ${slot} timeout ${stayMs}ms : meta priority }`,
    send(`meta priority map { ${[...tags].map(([place, tag]) => `${tag} : ${place}`).join(', ')} }`),
  ];
}

/** The key of 28 bytes that IPv6 would need makes nft 1.0.6 fail, so that an address is there by its hash of 32 bits. */
function hashedListener(family: Family): string {
  return listenerOf(family).replace('ip6 daddr', `jhash ip6 daddr mod 4294967295 seed ${HASH_SEED}`);
}

/**
 * A number for each target, the same in every chain, written as nft writes priorities. Half of all are never used, so that one which
 * somebody has set is hardly ever one of them; its last four bits, by which queues sort, are 0.
 */
function tagsOf(places: readonly string[]): ReadonlyMap<string, string> {
  const tags = new Map<string, string>();
  const taken = new Set<number>();
  for (const place of [...new Set(places)].sort()) {
    let tag = ((hashOf(place) & 0x7ffffff0) | 0x80000000) >>> 0;
    while (taken.has(tag)) tag = ((tag + 0x10) | 0x80000000) >>> 0;
    taken.add(tag);
    tags.set(place, `${(tag >>> 16).toString(16)}:${(tag & 0xffff).toString(16)}`);
  }
  return tags;
}

function familiesHeld({ chains }: Plan): ReadonlySet<Family> {
  const families = new Set<Family>();
  for (const { aim } of chains.values()) if (aim.staySeconds) families.add(aim.family);
  return families;
}
