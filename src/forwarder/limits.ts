import { openFilesLimit } from './platform.ts';

/** Client connections at once, at most: at 64 KB of kernel buffers for each of their two sockets this is some 4 GB. */
export const MAX_CONNECTIONS = 30_000;

/** File descriptors left for listeners, probes and the process itself. */
const OTHER_DESCRIPTORS = 1_500;

/** How many client connections this process can have at once; each takes two file descriptors. */
export function connectionLimit(): number {
  return connectionsWith(openFilesLimit());
}

/** Pure. At least 100, at most MAX_CONNECTIONS. */
export function connectionsWith(descriptors: number): number {
  return Math.max(100, Math.min(MAX_CONNECTIONS, Math.floor((descriptors - OTHER_DESCRIPTORS) / 2)));
}

/** Flows of UDP at once, at most: some 4 KB of this process each, beside what the kernel holds of unread datagrams. */
export const MAX_FLOWS = 16_384;

/**
 * New flows in a second over all listeners, at most: each costs some 50 µs, so that whoever sends from ever new ports and
 * addresses takes half of this process, and what there is already has the other half.
 */
export const MAX_NEW_FLOWS_PER_SECOND = 10_000;

/**
 * Pure. How many flows of UDP there may be: each takes one file descriptor, so that this is at most half of what connections may
 * take, and whatever floods a UDP port leaves TCP the other half.
 */
export function flowLimit(maxConnections: number): number {
  return Math.min(MAX_FLOWS, maxConnections);
}
