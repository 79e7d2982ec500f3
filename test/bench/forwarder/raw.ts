import type { Wire, WireOwner } from '../../../src/forwarder/wire.ts';
import { bestWiring } from '../../../src/forwarder/wire-raw.ts';

// Back-ends and load run on the forwarder's own wires: they are the cheapest that Node has, so that the contestants are what is
// measured. All contestants meet the same ones.

export const wiring = bestWiring();

/** First byte of what a client sends: wants one answer and keeps the connection, one answer and the end, or bytes without end. */
export const KEEP = 'K'.charCodeAt(0);
export const CLOSE = 'C'.charCodeAt(0);
export const FLOOD = 'F'.charCodeAt(0);

/** As long as a small HTTP exchange. */
export const REQUEST_BYTES = 80;
export const ANSWER_BYTES = 160;

export function request(kind: number): Uint8Array {
  return new Uint8Array(REQUEST_BYTES).fill(kind);
}

/** An owner that does nothing, to be extended. */
export class Idle implements WireOwner {
  wireConnected(_wire: Wire): void {}
  wireUnreachable(_wire: Wire, _code: string): void {}
  wireData(_wire: Wire, _chunk: Uint8Array): void {}
  wireDrained(_wire: Wire): void {}
  wireEnded(_wire: Wire): void {}
  wireClosed(_wire: Wire, _code: string | undefined): void {}
}
