import { expect, test } from '@jest/globals';
import { runCommand, runWithFile } from '../../../src/forwarder/kernel/command.ts';

const reader = ['-e', "process.stdout.write(require('fs').readFileSync('/dev/stdin'))"];

test('a command that opens /dev/stdin by its name reads what it is given', async () => {
  const input = 'one\n'.repeat(40_000);
  expect(await runWithFile(process.execPath, reader, input, 60_000)).toEqual({ stdout: input, stderr: '', code: 0 });
});

test('a command that is not there is told by its code, with a file as without', async () => {
  expect(await runWithFile('no-such-command', [], '', 60_000)).toMatchObject({ code: 'ENOENT' });
  expect(await runCommand('no-such-command', [])).toMatchObject({ code: 'ENOENT' });
});
