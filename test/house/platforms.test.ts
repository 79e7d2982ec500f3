import { expect, test } from '@jest/globals';
import { readSources } from './sources.ts';

/** Where it is asked which platform this is, and Linux's own files are read; what runs on macOS and Windows asks there. */
const platformFiles = ['forwarder/platform.ts', 'forwarder/port-holder.ts', 'providers/local/strangers.ts', 'bin.js'];
/** Rooms of what only Linux has: nftables, keepalived, agents on nodes. */
const linuxRooms = ['forwarder/kernel/', 'agent/', 'sandbox/'];

test('nobody else asks for the platform or reads files that only Linux has', () => {
  const strays = readSources().filter(
    ({ path, code }) =>
      !platformFiles.includes(path) &&
      !linuxRooms.some((room) => path.startsWith(room)) &&
      /process\.platform|['"`]\/(?:proc|sys)\//.test(code),
  );
  expect(strays.map(({ path }) => path)).toEqual([]);
});
