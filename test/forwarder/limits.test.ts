import { expect, test } from '@jest/globals';
import { connectionLimit, connectionsWith, MAX_CONNECTIONS } from '../../src/forwarder/limits.ts';
import { filesInLimits } from '../../src/forwarder/platform.ts';

test.each<{ why: string; line: string; connections: number }>([
  {
    why: 'two descriptors a connection, some left over',
    line: 'Max open files            20000                20000                files',
    connections: 9_250,
  },
  {
    why: 'a high limit is not all used',
    line: 'Max open files            1048576              1048576              files',
    connections: MAX_CONNECTIONS,
  },
  {
    why: 'a low limit leaves some',
    line: 'Max open files            1024                 1024                 files',
    connections: 100,
  },
  {
    why: 'no limit',
    line: 'Max open files            unlimited            unlimited            files',
    connections: MAX_CONNECTIONS,
  },
])('$why', ({ line, connections }) => expect(connectionsWith(filesInLimits(`Limit Soft\n${line}\n`))).toBe(connections));

test('this machine has a limit as well', () => expect(connectionLimit()).toBeGreaterThanOrEqual(100));
