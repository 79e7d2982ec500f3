import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { meetingPlaces, Succession, succeed } from '../../src/agent/succession.ts';
import { at, text } from '../../src/kube/objects.ts';
import { MemoryApi } from '../kube/memory-api.ts';
import { quiet } from '../providers/builders.ts';
import { openProvider, putHeld, putNode, startTestAgent, until } from './parts.ts';

let folder: string;
const toEnd: (() => unknown)[] = [];

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nodeport-lb-'));
});

afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end();
  await rm(folder, { recursive: true });
});

async function stand(path: string): Promise<Succession> {
  const succession = await Succession.open(path, quiet);
  toEnd.push(() => succession.close());
  return succession;
}

describe('where agents meet', () => {
  test('is a place of their name alone, and short however long that is', () => {
    const [one, other] = [meetingPlaces('/var/lib/x', 'n1'), meetingPlaces('/var/lib/x', `n1${'.long'.repeat(40)}`)];
    expect(new Set([one.agent, one.forwarder, other.agent, other.forwarder]).size).toBe(4);
    expect(other.forwarder.length).toBeLessThan(60);
  });

  test('nobody is there at first, nor where one has died', async () => {
    const { agent } = meetingPlaces(folder, 'n1');
    expect(await succeed(agent, true, quiet)).toBeUndefined();
    (await stand(agent)).close();
    expect(await succeed(agent, true, quiet)).toBeUndefined();
  });

  test('the next one is let in when the one before has given up, and told when that has let go', async () => {
    const { agent } = meetingPlaces(folder, 'n1');
    const old = await stand(agent);
    let isIn = false;
    const coming = succeed(agent, true, quiet).then((predecessor) => {
      isIn = true;
      return predecessor!;
    });
    const successor = await old.asked;
    expect(successor.takes).toBe(true);
    expect(isIn).toBe(false);
    successor.yield();
    const predecessor = await coming;
    let isFree = false;
    void predecessor.free.then(() => {
      isFree = true;
    });
    const next = await stand(agent); // the place is free as soon as it is let in
    expect(isFree).toBe(false);
    successor.free();
    await predecessor.free;
    const third = succeed(agent, false, quiet);
    expect((await next.asked).takes).toBe(false);
    next.close();
    expect(await third).toBeUndefined(); // it went without a word
  });

  test('one that gives up sees that the next one has died', async () => {
    const { agent } = meetingPlaces(folder, 'n1');
    const old = await stand(agent);
    const next = connect(agent, () => next.write('{"type":"succeed","version":1,"takes":true}\n'));
    const successor = await old.asked;
    next.destroy();
    await successor.lost;
    successor.yield(); // to nobody
    successor.free();
  });

  test.each(['rubbish\n', '{"type":"succeed","version":2}\n', '[]\n', 'null\n'])('%j is no agent of ours', async (words) => {
    const { agent } = meetingPlaces(folder, 'n1');
    const old = await stand(agent);
    await new Promise((resolve) => {
      const socket = connect(agent, () => socket.write(words));
      socket.on('error', () => {});
      socket.on('close', resolve);
    });
    const next = succeed(agent, true, quiet);
    (await old.asked).yield();
    expect(await next).toBeDefined();
  });
});

describe('an agent that has taken the place of another', () => {
  let api: MemoryApi;
  const wish = () => ({ node: 'n1', addresses: ['10.0.0.1'], stateDir: folder });
  const found = (kind: 'configmaps' | 'leases', part: string) =>
    at(
      api.all(kind).find((one) => one.metadata['name'] === 'nodeport-lb-agent-n1'),
      part,
    );
  const holder = () => text(at(found('leases', 'spec'), 'holderIdentity'));
  const released = (): readonly string[] => JSON.parse(text(at(found('configmaps', 'data'), 'report')) || '{}').released ?? [];

  beforeEach(async () => {
    api = new MemoryApi();
    putNode(api, 'n1', '10.0.0.1');
    const { provider } = await openProvider(api);
    toEnd.push(() => provider.close(0));
  });

  test('renews the same Lease, which the other does not let go of, and says nothing is let go of before the other has', async () => {
    const old = await startTestAgent(api, 'n1', wish());
    toEnd.push(() => old.agent.stop(0));
    const uid = putHeld(api, { held: ['10.0.0.1'] });
    await until('it has a Lease', () => holder() !== '');
    await until('it serves', () => (old.forwarder()?.table.listeners.size ?? 0) > 0);
    const identity = holder();
    await old.agent.handOver();

    const free = Promise.withResolvers<void>();
    const next = await startTestAgent(api, 'n1', { ...wish(), free: free.promise });
    toEnd.push(() => next.agent.stop(0));
    const renewed = () => text(at(found('leases', 'spec'), 'renewTime'));
    const before = renewed();
    await until('the next one renews', () => renewed() !== before);
    putHeld(api, { held: ['10.0.0.1'], leaving: true });
    await until('the next one has closed it', () => next.agent.state().listeners === 0);
    await old.agent.stop(0);
    const then = renewed();
    await until('another renewal', () => renewed() !== then);
    expect(holder()).toBe(identity);
    expect(released()).toEqual([]);

    free.resolve();
    await until('it is said to be let go of', () => released().includes(uid));
  });
});
