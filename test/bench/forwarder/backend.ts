import type { Wire } from '../../../src/forwarder/wire.ts';
import { ANSWER_BYTES, CLOSE, FLOOD, Idle, wiring } from './raw.ts';

// The back-ends' process: one server for each address given.

const answer = new Uint8Array(ANSWER_BYTES).fill(46);
const flood = new Uint8Array(256 * 1024).fill(46);

class Answerer extends Idle {
  override wireData(wire: Wire, chunk: Uint8Array): void {
    if (chunk[0] === FLOOD) {
      this.wireDrained(wire);
      return;
    }
    wire.write(answer);
    if (chunk[0] === CLOSE) wire.end();
  }

  override wireDrained(wire: Wire): void {
    for (let chunks = 0; chunks < 64; chunks++) if (!wire.write(flood)) return;
    setImmediate(() => this.wireDrained(wire));
  }

  override wireEnded(wire: Wire): void {
    wire.close();
  }
}

const answerer = new Answerer();
const [port = '', ...addresses] = process.argv.slice(2);
let listening = 0;
for (const address of addresses) {
  const server = wiring.serve((wire) => {
    wire.owner = answerer;
    wire.resume();
  });
  server.listen({ host: address, port: Number(port), backlog: 4096 }, () => {
    listening++;
    if (listening === addresses.length) process.send?.('ready');
  });
}
process.on('disconnect', () => process.exit());
