import type { Family } from './plan.ts';
import { SLOTS } from './slots.ts';

/** Of the clients' addresses: the same on every machine, so that a client keeps its target when an address moves. */
export const HASH_SEED = '0x6e706c62';

export function word(family: Family): 'ip' | 'ip6' {
  return family === 4 ? 'ip' : 'ip6';
}

/** Of a packet that is not translated yet. */
export function listenerOf(family: Family): string {
  return `${word(family)} daddr . meta l4proto . th dport`;
}

/** The slot of the client that sends the packet. */
export function slotOfSender(family: Family): string {
  return `jhash ${word(family)} saddr mod ${SLOTS} seed ${HASH_SEED}`;
}
