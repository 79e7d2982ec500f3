import { expect, test } from '@jest/globals';
import { claimTable, isClaimed } from '../../../src/forwarder/kernel/claim.ts';
import { cleanUpKernel, cleanUpOrphans } from '../../../src/forwarder/kernel/cleanup.ts';

/** The command nft, as far as tables go. @param afterList what others do once the tables have been listed */
function fakeNft(tables: Set<string>, afterList: () => void = () => {}) {
  const done = { stdout: '', stderr: '', code: 0 };
  const one = (command: string) => {
    const [verb = '', , family = '', name = ''] = command.trim().split(' ');
    const table = `${family} ${name}`;
    if (verb === 'add') tables.add(table);
    else if (verb !== 'delete' || !tables.delete(table)) return 'Error: Could not process rule: No such file or directory';
    return undefined;
  };
  return async (_command: string, args: readonly string[]) => {
    const said = args.join(' ');
    if (said === 'list tables inet') {
      const stdout = [...tables].map((table) => `table ${table}\n`).join('');
      afterList();
      return { ...done, stdout };
    }
    const stderr = said.split(';').flatMap((command) => one(command) ?? []);
    return stderr.length === 0 ? done : { ...done, stderr: stderr.join('\n'), code: 1 };
  };
}

const ours = 'inet nodeport-lb';

test('our table goes, others stay', async () => {
  const tables = new Set([ours, 'inet others']);
  expect(await cleanUpKernel({ run: fakeNft(tables) })).toEqual({ removed: true });
  expect([...tables]).toEqual(['inet others']);
});

test('where there is none nothing is done', async () => {
  const tables = new Set(['inet nodeport-lb-too']);
  expect(await cleanUpKernel({ run: fakeNft(tables) })).toEqual({ removed: false });
  expect(tables.size).toBe(1);
});

test('a table that somebody else removes meanwhile is no fault, and none is left', async () => {
  const tables = new Set([ours]);
  const outcome = await cleanUpKernel({ run: fakeNft(tables, () => tables.delete(ours)) });
  expect(outcome.fault).toBeUndefined();
  expect([...tables]).toEqual([]);
});

test('without the command there is nothing of ours', async () => {
  const run = async () => ({ stdout: '', stderr: '', code: 'ENOENT' });
  expect(await cleanUpKernel({ run })).toEqual({ removed: false });
});

test('what may not be listed is a fault with a reason', async () => {
  const run = async () => ({ stdout: '', stderr: 'Operation not permitted (you must be root)', code: 1 });
  expect((await cleanUpKernel({ run })).fault?.code).toBe('NetAdminMissing');
});

test('a table goes with the process that has claimed its name, whatever id that has where it is looked at', async () => {
  const prefix = `nodeport-lb-test-${process.pid}-`;
  const [live, dead, common] = [`${prefix}4194305-live`, `${prefix}${process.pid}-dead`, 'nodeport-lb'];
  const tables = new Set([live, dead, common].map((name) => `inet ${name}`));
  const run = fakeNft(tables);
  const free = claimTable(live);
  const canKnow = process.platform === 'linux';
  expect(isClaimed(live)).toBe(true);
  expect(isClaimed(live.slice(0, -1))).toBe(!canKnow);
  expect(await cleanUpOrphans(prefix, run)).toEqual(canKnow ? [dead] : []);
  free();
  expect(await cleanUpOrphans(prefix, run)).toEqual(canKnow ? [live] : []);
  expect([...tables]).toContain(`inet ${common}`);
});
