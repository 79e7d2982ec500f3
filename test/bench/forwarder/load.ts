import type { Wire } from '../../../src/forwarder/wire.ts';
import { CLOSE, FLOOD, Idle, KEEP, request, wiring } from './raw.ts';
import type { Outcome, Task } from './tasks.ts';

// The load generator's process: runs one task after the other, as asked by messages.

const WARM_UP_MS = 150;
const MAX_SAMPLES = 200_000;
/** Connections being made at one time, while many are opened to be held. */
const MOST_OPENING = 200;

class Load extends Idle {
  readonly #task: Task;
  readonly #request: Uint8Array;
  readonly #samples: number[] = [];
  readonly #sentAt = new Map<Wire, number>();
  readonly #open = new Set<Wire>();
  #done = 0;
  #begun = 0;
  #errors = 0;
  #firstError: string | undefined;
  #stopped = false;

  constructor(task: Task) {
    super();
    this.#task = task;
    this.#request = request(task.mode === 'fresh' ? CLOSE : task.mode === 'flood' ? FLOOD : KEEP);
  }

  /** Opens some at a time, so that no queue of new connections overflows. @returns how many there are */
  async hold(): Promise<Outcome> {
    const { connections, ms } = this.#task;
    const deadline = performance.now() + ms;
    while (this.#done < connections && performance.now() < deadline) {
      while (this.#open.size < connections && this.#open.size - this.#done < MOST_OPENING) this.#connect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return { perSecond: this.#done, errors: this.#errors };
  }

  release(): void {
    this.#stopped = true;
    for (const wire of this.#open) wire.reset();
  }

  async run(): Promise<Outcome> {
    for (let i = 0; i < this.#task.connections; i++) this.#connect();
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS));
    this.#done = 0;
    this.#samples.length = 0;
    const begunMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, this.#task.ms));
    const seconds = (performance.now() - begunMs) / 1_000;
    const perSecond = this.#done / seconds;
    this.release();
    const sorted = this.#samples.sort((a, b) => a - b);
    const at = (q: number) => (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN) * 1_000;
    return {
      perSecond,
      ...(sorted.length > 0 ? { microseconds: { p50: at(0.5), p99: at(0.99), p999: at(0.999) } } : {}),
      errors: this.#errors,
      ...(this.#firstError === undefined ? {} : { firstError: this.#firstError }),
    };
  }

  #connect(): void {
    const { address, ports } = this.#task;
    this.#open.add(wiring.connect(address, ports[this.#begun++ % ports.length]!, this));
  }

  override wireConnected(wire: Wire): void {
    wire.resume();
    this.#send(wire);
  }

  override wireUnreachable(wire: Wire, code: string): void {
    this.#over(wire, code);
  }

  override wireData(wire: Wire, chunk: Uint8Array): void {
    if (this.#task.mode === 'flood') {
      this.#done += chunk.length;
      return;
    }
    if (this.#task.mode === 'fresh') return;
    this.#done++;
    if (this.#task.mode === 'idle') return;
    const sentAt = this.#sentAt.get(wire);
    if (sentAt !== undefined && this.#samples.length < MAX_SAMPLES) this.#samples.push(performance.now() - sentAt);
    this.#send(wire);
  }

  override wireEnded(wire: Wire): void {
    this.#done++;
    wire.close();
    this.#over(wire, this.#task.mode === 'fresh' ? undefined : 'ended');
  }

  override wireClosed(wire: Wire, code: string | undefined): void {
    this.#over(wire, code);
  }

  #send(wire: Wire): void {
    if (this.#stopped) return;
    if (this.#task.mode === 'latency') this.#sentAt.set(wire, performance.now());
    wire.write(this.#request);
  }

  #over(wire: Wire, code: string | undefined): void {
    this.#open.delete(wire);
    this.#sentAt.delete(wire);
    if (this.#stopped) return;
    if (code !== undefined) {
      this.#errors++;
      this.#firstError ??= code;
    }
    if (this.#errors < 1_000) this.#connect();
  }
}

let held: Load | undefined;

process.on('message', (task: Task) => {
  held?.release();
  const load = new Load(task);
  held = task.mode === 'idle' ? load : undefined;
  void (held ? load.hold() : load.run()).then((outcome) => process.send?.(outcome));
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
