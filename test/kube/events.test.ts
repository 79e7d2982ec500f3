import { beforeEach, describe, expect, test } from '@jest/globals';
import { KubeError } from '../../src/kube/api.ts';
import { cutBytes, decideAfter, eventName } from '../../src/kube/event-body.ts';
import { type EventRecorder, recordEvents } from '../../src/kube/events.ts';
import { at } from '../../src/kube/objects.ts';
import { keepLog, MemoryApi } from './memory-api.ts';

const SERVICE = { kind: 'Service', namespace: 'study', name: 'tomcat-service', uid: 'u1', resourceVersion: '7' } as const;
const NODE = { kind: 'Node', namespace: '', name: 'n1', uid: 'u2' } as const;

let api: MemoryApi;
let log: ReturnType<typeof keepLog>;
let clock: number;
let waits: number[];
let recorder: EventRecorder;
beforeEach(() => {
  api = new MemoryApi();
  log = keepLog();
  clock = Date.UTC(2026, 0, 1);
  waits = [];
  recorder = recordEvents({
    api,
    component: 'nodeport-lb',
    log,
    now: () => clock,
    sleep: async (ms) => {
      waits.push(ms);
    },
  });
});

const events = (): readonly Record<string, unknown>[] => api.all('events');
const only = (): Record<string, unknown> => {
  expect(events().length).toBe(1);
  return events()[0]!;
};
const counts = (): readonly unknown[] => events().map((event) => event['count']);

describe('an event', () => {
  test('stands as client-go writes it, where kubectl looks for it', async () => {
    recorder.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'address 10.0.0.1');
    await recorder.flush();
    expect(only()).toMatchObject({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { namespace: 'study', name: expect.stringMatching(/^tomcat-service\.[0-9a-f]{16}$/) },
      involvedObject: { apiVersion: 'v1', ...SERVICE },
      type: 'Normal',
      reason: 'EnsuredLoadBalancer',
      message: 'address 10.0.0.1',
      source: { component: 'nodeport-lb' },
      reportingComponent: 'nodeport-lb',
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      count: 1,
    });
  });

  test('about a node stands in namespace default', async () => {
    recorder.tell(NODE, 'Warning', 'NodeUnreachable', 'no answer');
    await recorder.flush();
    expect(only()).toMatchObject({ metadata: { namespace: 'default' }, involvedObject: { kind: 'Node', name: 'n1', uid: 'u2' } });
    expect(at(only()['involvedObject'], 'namespace')).toBeUndefined();
  });
});

describe('repeats', () => {
  test('in one breath are one write with a count', async () => {
    for (let i = 0; i < 5; i += 1) recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    expect(counts()).toEqual([5]);
  });

  test('are counted on the same event, with the time of the last', async () => {
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    clock += 60_000;
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    expect(only()).toMatchObject({ count: 2, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:01:00Z' });
  });

  test('within ten seconds wait to be written together', async () => {
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    for (let i = 0; i < 9; i += 1) {
      clock += 1000;
      recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(counts()).toEqual([1]);
    await recorder.flush();
    expect(counts()).toEqual([10]);
  });

  test('while the first is being written are not lost', async () => {
    const gate = Promise.withResolvers<void>();
    api.pace = () => gate.promise;
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await new Promise((resolve) => setImmediate(resolve));
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    gate.resolve();
    await recorder.flush();
    expect(counts()).toEqual([2]);
  });

  test('after an hour, or of another object, type, reason or message, are another event', async () => {
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    recorder.tell({ ...SERVICE, uid: 'u9' }, 'Warning', 'SyncFailed', 'no');
    recorder.tell(SERVICE, 'Normal', 'SyncFailed', 'no');
    recorder.tell(SERVICE, 'Warning', 'Other', 'no');
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'yes');
    await recorder.flush();
    clock += 3_600_001;
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    expect(counts()).toEqual([1, 1, 1, 1, 1, 1]);
  });

  test('of an event that the API server has forgotten make it anew', async () => {
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    api.delete('events', 'study', String(at(only()['metadata'], 'name')));
    clock += 60_000;
    recorder.tell(SERVICE, 'Warning', 'SyncFailed', 'no');
    await recorder.flush();
    expect(only()).toMatchObject({ count: 2 });
  });
});

describe('trouble', () => {
  test('that passes is waited out, a few times', async () => {
    let left = 2;
    api.refuse = () => {
      left -= 1;
      return left >= 0 ? new KubeError(503, 'ServiceUnavailable', 'later') : undefined;
    };
    recorder.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await recorder.flush();
    expect(counts()).toEqual([1]);
    expect(waits).toEqual([1000, 2000]);
  });

  test('that stays is given up and told', async () => {
    api.refuse = () => new KubeError(0, 'Unreachable', 'away');
    recorder.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await recorder.flush();
    expect(waits).toEqual([1000, 2000, 4000]);
    expect(log.lines.join()).toContain('warn event not recorded: away');
    api.refuse = () => undefined;
    recorder.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await recorder.flush();
    expect(counts()).toEqual([2]);
  });

  test('a write that was done and not answered is no second event', async () => {
    const real = api.create.bind(api);
    let first = true;
    api.create = async (...args) => {
      const done = await real(...args);
      if (!first) return done;
      first = false;
      throw new KubeError(0, 'Unreachable', 'cut');
    };
    recorder.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await recorder.flush();
    clock += 60_000;
    recorder.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await recorder.flush();
    expect(counts()).toEqual([2]);
    expect(log.lines).toEqual([]);
  });

  test('a namespace that is going is no trouble; a right that lacks is told once', async () => {
    api.refuse = () => new KubeError(404, 'NotFound', 'namespace study not found');
    recorder.tell(SERVICE, 'Normal', 'A', 'x');
    await recorder.flush();
    api.refuse = () => new KubeError(403, 'NamespaceTerminating', 'study is being terminated');
    recorder.tell(SERVICE, 'Normal', 'A', 'x');
    await recorder.flush();
    api.refuse = () => new KubeError(403, 'Forbidden', 'forbidden');
    recorder.tell(SERVICE, 'Normal', 'B', 'x');
    recorder.tell(SERVICE, 'Normal', 'C', 'x');
    await recorder.flush();
    expect(waits).toEqual([]);
    expect(log.lines.map((line) => line.split(' ')[0])).toEqual(['debug', 'debug', 'warn', 'debug']);
  });

  test('a flood is bounded: the oldest go, and it is told', async () => {
    const gate = Promise.withResolvers<void>();
    api.pace = () => gate.promise;
    for (let i = 0; i < 5000; i += 1) recorder.tell({ ...SERVICE, uid: `u${i}` }, 'Normal', 'A', 'x');
    gate.resolve();
    await recorder.flush();
    const uids = new Set(events().map((event) => at(event['involvedObject'], 'uid')));
    expect(uids.size).toBe(4096);
    expect(uids.has('u4999')).toBe(true);
    expect(uids.has('u0')).toBe(false);
    expect(log.lines.join()).toContain('the oldest are dropped');
  });

  test('no more than four are written at a time', async () => {
    let now = 0;
    let most = 0;
    api.pace = async () => {
      now += 1;
      most = Math.max(most, now);
      await new Promise((resolve) => setImmediate(resolve));
      now -= 1;
    };
    for (let i = 0; i < 100; i += 1) recorder.tell({ ...SERVICE, uid: `u${i}` }, 'Normal', 'A', 'x');
    await recorder.flush();
    expect(events().length).toBe(100);
    expect(most).toBe(4);
  });
});

describe('what is more urgent', () => {
  const record = (turn: () => Promise<void>, sleep: (ms: number) => Promise<void>): EventRecorder =>
    recordEvents({ api, component: 'nodeport-lb', log, now: () => clock, turn, sleep });

  test('goes first: an event waits for its turn', async () => {
    const gate = Promise.withResolvers<void>();
    const patient = record(
      () => gate.promise,
      () => new Promise(() => {}),
    );
    patient.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await new Promise((resolve) => setImmediate(resolve));
    expect(counts()).toEqual([]);
    gate.resolve();
    await patient.flush();
    expect(counts()).toEqual([1]);
  });

  test('holds up neither the end nor so many that some would be dropped', async () => {
    const never = () => new Promise<void>(() => {});
    const patient = record(never, never);
    patient.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await new Promise((resolve) => setImmediate(resolve));
    expect(counts()).toEqual([]);
    await patient.flush();
    expect(counts()).toEqual([1]);
    for (let i = 0; i < 2_500; i += 1) patient.tell({ ...SERVICE, uid: `u${i}` }, 'Normal', 'A', 'x');
    const deadline = Date.now() + 60_000;
    while (events().length < 400 && Date.now() < deadline) await new Promise((resolve) => setImmediate(resolve));
    expect(events().length).toBeGreaterThanOrEqual(400);
    await patient.flush();
    expect(events().length).toBe(2_501);
  });

  test('holds an event up for half a minute at most', async () => {
    const patient = record(
      () => new Promise(() => {}),
      async (ms) => void waits.push(ms),
    );
    patient.tell(SERVICE, 'Normal', 'EnsuredLoadBalancer', 'x');
    await new Promise((resolve) => setImmediate(resolve));
    expect(counts()).toEqual([1]);
    expect(waits).toEqual([30_000]);
  });
});

describe('pure parts', () => {
  test('a name is at most 253 bytes and a DNS subdomain', () => {
    expect(eventName('web', 'x')).toMatch(/^web\.[0-9a-f]{16}$/);
    expect(eventName('n.'.repeat(120), 'x')).toMatch(/[a-z]\.[0-9a-f]{16}$/);
    expect(eventName('n'.repeat(253), 'x').length).toBe(253);
    expect(eventName('web', 'x')).not.toBe(eventName('web', 'y'));
  });

  test('a message is cut between characters', () => {
    expect(cutBytes('short', 1024)).toBe('short');
    for (let limit = 8; limit < 30; limit += 1) {
      const cut = cutBytes('ä€😀'.repeat(9), limit);
      expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(limit);
      expect(cut).not.toContain('�');
      expect(cut.endsWith('…')).toBe(true);
    }
  });

  test.each<{ status: number; known: boolean; next: string }>([
    { status: 404, known: true, next: 'recreate' },
    { status: 404, known: false, next: 'gone' },
    { status: 403, known: true, next: 'denied' },
    { status: 409, known: false, next: 'done' },
    { status: 422, known: false, next: 'refused' },
    { status: 500, known: false, next: 'retry' },
    { status: 0, known: true, next: 'retry' },
  ])('after $status of one that is known $known: $next', ({ status, known, next }) => {
    expect(decideAfter(new KubeError(status, '', ''), known)).toBe(next);
  });
});
