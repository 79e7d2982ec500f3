import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { run } from './lab/command.ts';
import { until } from './lab/until.ts';
import { failOver, renderTimelines, type Timeline } from './vips/failover.ts';
import { type AgentName, Ground, NAMES, SUBNET } from './vips/ground.ts';

const VIPS = ['172.31.79.200', '172.31.79.201', '172.31.79.202', 'fd79::200'] as const;
const [VIP] = VIPS;
/** Under a second on a quiet machine; this one may be busy, and what counts is what becomes of it. */
const PATIENT_MS = 30_000;

/** Three agents, each with its own keepalived, and a client that connects 100 times a second. There is no API server at all. */
describe('addresses that fail over', () => {
  let ground: Ground;
  const timelines: Timeline[] = [];

  beforeAll(async () => {
    ground = await Ground.make();
    for (const name of NAMES) ground.startAgent(name);
    ground.order(VIPS);
  });

  afterAll(async () => {
    if (timelines.length > 0) console.log(renderTimelines(timelines));
    await ground?.close();
  });

  function settled(): Promise<void> {
    return ground.calm(VIPS, PATIENT_MS);
  }

  async function fails(what: string, act: (holder: AgentName) => Promise<void> | void): Promise<Timeline> {
    await settled();
    const timeline = await failOver(ground, { what, vip: VIP, act }, PATIENT_MS);
    timelines.push(timeline);
    writeFileSync(join(ground.claim.directory, 'timelines.json'), JSON.stringify(timelines, null, 2));
    await settled();
    return timeline;
  }

  function holdersOfAll(): readonly (AgentName | undefined)[] {
    return VIPS.map((vip) => ground.holders(vip)[0]);
  }

  /** Starts the agent again, and waits until the address is back where it belongs. */
  async function back(name: AgentName): Promise<void> {
    ground.startAgent(name);
    ground.order(VIPS, [name]);
    await until(() => ground.holders(VIP).join() === name, { withinMs: PATIENT_MS, what: `${name} holds ${VIP} again` });
  }

  test('each address has one holder, who answers on it', async () => {
    await settled();
    const client = ground.knock(VIP);
    await until(() => client.lines.some((line) => line.by === ground.holders(VIP)[0]), {
      withinMs: PATIENT_MS,
      what: 'it answers',
    });
    await client.stop();
  });

  test('a planned goodbye loses no new connection: another agent holds the address before it is let go', async () => {
    const { from, failed } = await fails('planned drain', (holder) => void ground.agent(holder).signal('SIGTERM'));
    expect(failed).toBe(0);
    expect(await ground.agent(from).exited).toEqual({ code: 0, signal: null });
    await back(from);
  });

  test('an agent that is killed leaves no address behind, and another takes over', async () => {
    const { from } = await fails('agent killed', (holder) => void ground.agent(holder).signal('SIGKILL'));
    await back(from);
  });

  test('a keepalived that is killed leaves no address behind, and is started again', async () => {
    const { from } = await fails('keepalived killed', (holder) => {
      process.kill(Number(readFileSync(join(ground.runDir(holder), 'vrrp.pid'), 'utf8')), 'SIGKILL');
    });
    await until(() => ground.holders(VIP).join() === from, { withinMs: PATIENT_MS, what: `${from} holds ${VIP} again` });
  });

  test('a node that falls silent is replaced, and waits when it comes back', async () => {
    const { from } = await fails('node silent (link down)', (holder) => ground.hub([`link set v${holder} down`]));
    const upMs = Date.now();
    await ground.hub([`link set v${from} up`]);
    await until(() => ground.holders(VIP).join() === from, { withinMs: PATIENT_MS, what: `${from} holds ${VIP} again` });
    const backMs = ground.changes.findLast((change) => change.agent === from && change.address === VIP && change.held)?.atMs ?? 0;
    expect(backMs - upMs).toBeGreaterThan(1_000); // the hold-down of 1.5 s began when the link went
  });

  test('an agent that cannot serve an address gives it to one that can, and no connection is lost', async () => {
    const { from, failed } = await fails('no ready endpoint here', (holder) =>
      ground.order(VIPS, [holder], (_, address) => address !== VIP),
    );
    expect(failed).toBe(0);
    ground.order(VIPS, [from]);
    await until(() => ground.holders(VIP).join() === from, { withinMs: PATIENT_MS, what: `${from} holds ${VIP} again` });
  });

  /** @returns the agent, and what it leaves */
  async function killAll(): Promise<{ readonly holder: AgentName; readonly left: readonly string[] }> {
    const [holder] = ground.holders(VIP);
    const left = VIPS.filter((vip) => ground.holders(vip)[0] === holder);
    await ground.killAll(holder!);
    return { holder: holder!, left };
  }

  async function isFree({ holder, left }: Awaited<ReturnType<typeof killAll>>, what: string): Promise<void> {
    const gone = () => left.every((vip) => !ground.holders(vip).includes(holder));
    await until(gone, { withinMs: PATIENT_MS, what });
  }

  test('what agent and keepalived leave when all of it is killed at once is gone when the agent starts again', async () => {
    await settled();
    const killed = await killAll();
    await isFree(killed, 'their lifetimes end'); // but such as had none yet would stay
    const lasting = VIPS.filter((vip) => killed.left.includes(vip)).map((vip) => `${vip}/${vip.includes(':') ? 128 : 32}`);
    await ground.inside(
      killed.holder,
      lasting.map((vip) => `addr add ${vip} dev eth0`),
    );
    await until(() => killed.left.every((vip) => ground.holders(vip).includes(killed.holder)), {
      withinMs: PATIENT_MS,
      what: 'they are there again',
    });
    ground.startAgent(killed.holder, { holdMs: 600_000 });
    ground.order(VIPS, [killed.holder]);
    await isFree(killed, 'it removes them');
    await ground.agent(killed.holder).logged(/removed addresses that a dead agent had left/, PATIENT_MS);
    await settled();
    await ground.agent(killed.holder).kill();
    ground.startAgent(killed.holder);
    ground.order(VIPS, [killed.holder]);
    await settled();
  });

  test('and if it never starts again, another takes over, and the kernel takes them away', async () => {
    const { from, lostMs } = await fails('container killed', (holder) => ground.killAll(holder));
    expect(lostMs).toBeGreaterThan(0);
    await back(from);
  });

  test('an agent that others have struck off their list still hears who holds what', async () => {
    await settled();
    const before = holdersOfAll();
    const [a, b, c] = NAMES;
    const fromMs = Date.now();
    ground.order(VIPS, [a, b], undefined, [a, b]); // c cannot reach the API server, and has its old list
    await sleep(3_000); // three times as long as it would take c to believe that it is alone
    expect(holdersOfAll()).toEqual(before.map((holder) => (holder === c ? expect.anything() : holder)));
    expect(VIPS.map((vip) => ground.overlap(vip, fromMs + 1_500, Date.now()).twoMs)).toEqual(VIPS.map(() => 0));
    ground.order(VIPS, [a, b]);
    await until(() => holdersOfAll().join() === before.join(), { withinMs: PATIENT_MS, what: 'all is as before' });
  });

  test('an agent that another has never heard of is told as soon as it holds what that one holds', async () => {
    await settled();
    const before = holdersOfAll();
    const [a, , c] = NAMES;
    await ground.agent(a).kill();
    ground.startAgent(a);
    ground.order(VIPS, [a], undefined, [a, 'a2']); // c knows all three
    await ground.agent(a).logged(/an agent that is not in the list holds what this one holds/, PATIENT_MS);
    await settled();
    expect(holdersOfAll().filter((holder) => holder === c).length).toBeLessThanOrEqual(
      before.filter((holder) => holder === c).length,
    );
    ground.order(VIPS, [a]);
    await settled();
    expect(holdersOfAll()).toEqual(before);
  });

  test.each([`${SUBNET}.210/24`, 'fd79::210/64'])(
    'an address that a stranger has is named and left to the stranger; the others stay where they are: %s',
    async (own) => {
      await settled();
      const before = holdersOfAll();
      const [taken = ''] = own.split('/');
      await ground.inside('other', [`addr add ${own} dev eth0${own.includes(':') ? ' nodad' : ''}`]);
      ground.order([...VIPS, taken]);
      await until(() => NAMES.every((name) => ground.said(name)?.holdings[taken]?.code === 'AddressDuplicate'), {
        withinMs: PATIENT_MS,
        what: 'every agent names it',
      });
      expect(ground.said('a1')?.holdings[taken]?.message).toMatch(
        /answered for by ([0-9a-f]{2}:){5}[0-9a-f]{2}, which is none of the agents/,
      );
      expect(holdersOfAll()).toEqual(before);
      expect(ground.changes.filter((change) => change.address === taken)).toEqual([]);
      await ground.inside('other', [`addr del ${own} dev eth0`]);
      await until(() => ground.holders(taken).length === 1, { withinMs: PATIENT_MS, what: 'once it is free it is held' });
      ground.order(VIPS);
      await until(() => ground.holders(taken).length === 0, { withinMs: PATIENT_MS, what: 'it is let go of' });
      expect(holdersOfAll()).toEqual(before);
    },
  );

  test('an address of a machine that is on no interface of ours, or is there already, is named', async () => {
    await settled();
    const [mine, far] = [`${SUBNET}.11`, '10.9.9.9'];
    ground.order([...VIPS, mine, far]);
    const codes = () => [mine, far].map((address) => ground.said('a1')?.holdings[address]?.code);
    await until(() => codes().join() === 'AddressDuplicate,AddressOffLink', { withinMs: PATIENT_MS, what: 'a1 names both' });
    expect(VIPS.map((vip) => ground.said('a1')?.holdings[vip]?.state)).not.toContain('failed');
    ground.order(VIPS);
    await settled();
  });

  test('an interface that goes is named, and its addresses come back with it', async () => {
    await settled();
    const [name] = NAMES;
    const other = '172.31.80.240'; // in a group of its own
    await ground.inside(name, [
      'link add second type veth peer name end',
      'addr add 172.31.80.1/24 dev second',
      'link set second up',
      'link set end up',
    ]);
    const before = holdersOfAll();
    ground.order([...VIPS, other], [name]);
    await until(() => ground.holders(other).join() === name, { withinMs: PATIENT_MS, what: 'it is on the second interface' });
    await ground.inside(name, ['link del second']);
    await until(() => ground.said(name)?.holdings[other]?.code === 'AddressOffLink', {
      withinMs: PATIENT_MS,
      what: 'it is named',
    });
    expect(holdersOfAll()).toEqual(before);
    ground.order(VIPS);
    await settled();
  });

  test('a keepalived that is missing, or does not stay alive, is named; the other agents are not affected', async () => {
    await settled();
    const [name, ...others] = NAMES;
    const bin = join(ground.claim.directory, 'bin');
    mkdirSync(bin);
    for (const program of ['ip', 'mkfifo', 'setpriv', 'nsenter', 'sh', 'true']) await link(program, bin);
    const codes = () => VIPS.map((vip) => ground.said(name)?.holdings[vip]?.code);
    const start = async () => {
      await ground.agent(name).kill();
      ground.startAgent(name, {}, { ...process.env, PATH: bin });
      ground.order(VIPS, [name]);
    };
    await start();
    await until(() => codes().every((code) => code === 'KeepalivedMissing'), { withinMs: PATIENT_MS, what: 'it is missing' });
    const fake = '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "Unable to do anything"\nexit 1\n';
    writeFileSync(join(bin, 'keepalived'), fake, { mode: 0o755 });
    await start();
    await until(() => codes().every((code) => code === 'KeepalivedFailed'), { withinMs: PATIENT_MS, what: 'it fails' });
    expect(ground.said(name)?.holdings[VIP]?.message).toContain('Unable to do anything');
    await settled();
    expect(new Set(holdersOfAll())).toEqual(new Set(others));
    await ground.agent(name).kill();
    ground.startAgent(name);
    ground.order(VIPS, [name]);
    await settled();
  });

  test('cleanup takes what is ours off the links, and nothing else', async () => {
    await settled();
    await ground.inside('a1', [`addr add ${SUBNET}.250/32 dev eth0`]); // somebody's own
    for (const name of NAMES) {
      ground.agent(name).signal('SIGSTOP'); // alive, and hindered from doing it itself
      const lines = await ground.cleanUp(name);
      expect(lines.join()).toContain('keepalived of');
      await ground.agent(name).kill();
    }
    await until(() => VIPS.every((vip) => ground.holders(vip).length === 0), {
      withinMs: PATIENT_MS,
      what: 'all addresses are gone',
    });
    expect(await ground.linkAddresses('a1')).toEqual([`${SUBNET}.11/24`, `${SUBNET}.250/32`, 'fd79::11/64']);
    expect(await ground.cleanUp('a1')).toEqual([]);
  });
});

async function link(program: string, directory: string): Promise<void> {
  const { stdout } = await run('which', [program]);
  symlinkSync(stdout.trim(), join(directory, program));
}
