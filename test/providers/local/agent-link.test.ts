import { afterEach, describe, expect, test } from '@jest/globals';
import { type AgentReport, REPORT_VERSION } from '../../../src/agent/report.ts';
import { AgentLink, type AgentNews } from '../../../src/providers/local/agent-link.ts';
import { renderListeners } from '../../../src/providers/local/rules.ts';
import type { AgentNotice } from '../../../src/providers/provider.ts';
import { balancer, holding, node } from '../builders.ts';

const [web] = renderListeners(holding(balancer({ name: 'web' }), ['10.9.0.1']), { portFallback: false });
const listener = web!;

let link: AgentLink;
let hear: (notice: AgentNotice) => void;
let news: AgentNews[] = [];
let nowMs = 0;
let ordered = '';

afterEach(() => link.close());

async function open(): Promise<void> {
  news = [];
  link = new AgentLink({
    board: {
      open: async (changed) => {
        hear = changed;
      },
      order: (render) => {
        ordered = render();
      },
      close: async () => {},
    },
    orders: (agents) => agents.map(({ agent }) => agent).join(),
    mayWrite: () => true,
    leaves: () => false,
    changed: (told) => news.push(told),
    nowMs: () => nowMs,
  });
  await link.start();
}

function report(agent: string, more: object = {}): string {
  const own: Omit<AgentReport, 'version'> = {
    agent,
    node: agent,
    publish: ['10.9.0.1'],
    addresses: ['10.9.0.1'],
    generation: 1,
    holdings: {},
    exceptions: {},
    released: [],
    targets: {},
  };
  return JSON.stringify({ version: REPORT_VERSION, ...own, ...more });
}

const tell = (name: string, text: string, alive = true) => hear({ name, alive, report: text });

describe('an agent of another release, whose report cannot be read', () => {
  const later = report('n2', { version: 99, holdings: { [listener.id]: 'uid' } });

  test('may have anything open for as long as it lives, so no address is given away', async () => {
    await open();
    tell('n1', report('n1'));
    expect(link.isOpen(listener.id, 'uid')).toBe(false);
    tell('n2', later);
    expect(link.isOpen(listener.id, 'uid')).toBe(true);
    tell('n2', later, false); // its Lease has run out
    expect(link.isOpen(listener.id, 'uid')).toBe(false);
    expect(news.at(-1)).toMatchObject({ all: true }); // whoever waits for an address looks again
  });

  test('counts like any other once it has been brought to this release', async () => {
    await open();
    tell('n2', later);
    tell('n2', report('n2'));
    expect(link.isOpen(listener.id, 'uid')).toBe(false);
    expect(ordered).toBe('n2');
    expect(news.at(-1)).toMatchObject({ all: true });
  });

  test('is named where nobody is seen to serve', async () => {
    await open();
    tell('n2', later);
    link.put(listener, [node('n1', '10.0.0.1')]);
    nowMs += 60_000;
    expect(link.state(listener.id)).toMatchObject({ state: 'failed', code: 'NoForwarder' });
    expect(JSON.stringify(link.state(listener.id))).toMatch(
      /agent n2 is of another release.*bring controller and agents to one release/,
    );
  });

  test('is not one that has not reported yet', async () => {
    await open();
    tell('n1', report('n1'));
    tell('n3', '');
    expect(link.isOpen(listener.id, 'uid')).toBe(false);
  });
});

test.each([
  {
    agents: 'none of which puts addresses on its link',
    held: undefined,
    says: /on its machine.*--local-vips.*nor asks whether another machine/,
  },
  { agents: 'that hold addresses by turns', held: [], says: /on its machine \(alive are: n1\)$/ },
])('where nobody has the address a Service is told so, of agents $agents', async ({ held, says }) => {
  await open();
  tell('n1', report('n1', { held }));
  link.put(listener, [node('n1', '10.0.0.1')]);
  nowMs += 60_000;
  expect(link.state(listener.id)).toMatchObject({ code: 'NoForwarder', message: expect.stringMatching(says) });
});

describe('a listener that its agents are still to serve', () => {
  const pending = { holdings: { [listener.id]: 'uid' }, exceptions: { [listener.id]: { state: 'pending' } } };

  test('has no state for 10 s, or that of before, and then is a failure, until one serves it', async () => {
    await open();
    tell('n1', report('n1', pending));
    tell('n2', report('n2', pending));
    link.put(listener, [node('n1', '10.0.0.1')]);
    expect(link.state(listener.id)).toBeUndefined();
    nowMs += 9_999;
    expect(link.state(listener.id)).toBeUndefined();
    nowMs += 1;
    expect(link.state(listener.id)).toMatchObject({ state: 'failed', code: 'NoForwarder' });
    tell('n2', report('n2', { holdings: pending.holdings }));
    expect(link.state(listener.id)).toMatchObject({ state: 'listening' });
    tell('n2', report('n2', pending)); // opened anew, as by another data path
    expect(link.state(listener.id)).toMatchObject({ state: 'listening' });
    nowMs += 10_000;
    expect(link.state(listener.id)).toMatchObject({ state: 'failed', code: 'NoForwarder' });
  });
});

test('that another agent sees a sick node, too, is no news; who was told as its witness stays so while it says so', async () => {
  await open();
  const sick = (reason: string) => ({ targets: { n3: { health: 'unhealthy', reason, asOf: 1 } } });
  tell('n1', report('n1'));
  tell('n2', report('n2'));
  link.put(listener, [node('n3', '10.0.0.3')]);
  const told = () => link.target('n3', listener.nodePort)?.reason;
  tell('n2', report('n2', sick('no answer')));
  expect(told()).toBe('no answer, seen by agent n2');
  tell('n1', report('n1', sick('no way there')));
  expect(told()).toBe('no answer, seen by agent n2');
  tell('n2', report('n2'));
  expect(told()).toBe('no way there, seen by agent n1');
  tell('n1', report('n1'));
  expect(link.target('n3', listener.nodePort)).toEqual({ health: 'healthy', asOf: 0 });
  tell('n2', report('n2', sick('no answer')));
  tell('n1', report('n1', sick('no answer')));
  expect(told()).toBe('no answer, seen by agent n1'); // nobody had been told
});

test.each([
  { what: 'says nothing more of a node', went: {}, alive: true },
  { what: 'is gone', went: { targets: { n3: { health: 'unhealthy', asOf: 1 } } }, alive: false },
])('an agent that $what is no witness any more, though nobody asked meanwhile', async ({ went, alive }) => {
  await open();
  const sick = { targets: { n3: { health: 'unhealthy', asOf: 1 } } };
  link.put(listener, [node('n3', '10.0.0.3')]);
  tell('n1', report('n1'));
  tell('n2', report('n2', sick));
  expect(link.target('n3', listener.nodePort)?.reason).toBe('seen by agent n2');
  tell('n2', report('n2', went), alive);
  tell('n1', report('n1', sick));
  tell('n2', report('n2', sick));
  expect(link.target('n3', listener.nodePort)?.reason).toBe('seen by agent n1');
});

test('fields that a later release adds to reports and exceptions are passed over', async () => {
  await open();
  tell('n1', report('n1', { holdings: { [listener.id]: 'uid' }, mood: 'fine', exceptions: { other: { state: 'dancing' } } }));
  link.put(listener, [node('n1', '10.0.0.1')]);
  expect(link.state(listener.id)).toEqual({ state: 'listening', address: listener.address, port: listener.port });
});
