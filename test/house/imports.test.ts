import { describe, expect, test } from '@jest/globals';
import { importsOf, readSources } from './sources.ts';

/**
 * Who may import whom: the table of docs/architecture.md. A room is a folder, or a file at the top; a name that ends with `.ts`
 * is that file alone. Libraries are named where they may be used.
 */
const rooms: readonly { readonly room: string; readonly may: readonly string[] }[] = [
  { room: 'model.ts', may: [] },
  { room: 'errors.ts', may: [] },
  { room: 'exit.ts', may: ['node:'] },
  { room: 'config', may: ['model.ts', 'errors.ts', 'node:', 'ipaddr.js', 'yaml'] },
  { room: 'forwarder', may: ['errors.ts', 'exit.ts', 'node:'] },
  {
    room: 'kube',
    may: ['model.ts', 'errors.ts', 'config', 'providers/provider.ts', 'node:', 'yaml', 'ipaddr.js', 'p-retry', 'undici'],
  },
  { room: 'kube/client.ts', may: ['@kubernetes/client-node'] },
  { room: 'controller', may: ['kube', 'providers/provider.ts', 'config', 'model.ts', 'errors.ts', 'node:'] },
  {
    room: 'agent',
    may: [
      'controller',
      'kube',
      'providers/local',
      'providers/provider.ts',
      'forwarder',
      'config',
      'model.ts',
      'errors.ts',
      'node:',
      'ipaddr.js',
    ],
  },
  { room: 'agent/report.ts', may: ['forwarder/rules.ts'] },
  { room: 'providers/provider.ts', may: ['model.ts', 'errors.ts'] },
  { room: 'providers/none.ts', may: ['model.ts', 'errors.ts', 'providers/provider.ts', 'node:'] },
  { room: 'providers/registry.ts', may: ['providers', 'config/nearest.ts', 'errors.ts', 'node:'] },
  {
    room: 'providers/local',
    may: [
      'forwarder/rules.ts',
      'forwarder/forwarder.ts',
      'forwarder/child.ts',
      'forwarder/neighbours.ts',
      'forwarder/platform.ts',
      'agent/report.ts',
      'providers/provider.ts',
      'model.ts',
      'errors.ts',
      'config',
      'node:',
      'ipaddr.js',
      'zod',
    ],
  },
  {
    room: 'providers/aws',
    may: [
      'providers/provider.ts',
      'model.ts',
      'errors.ts',
      'config',
      'node:',
      'p-retry',
      '@aws-sdk/client-ec2',
      '@aws-sdk/client-elastic-load-balancing-v2',
    ],
  },
  { room: 'ops', may: ['errors.ts', 'providers/provider.ts', 'node:', 'pino', 'prom-client'] },
  { room: 'sandbox', may: ['errors.ts', 'model.ts', 'kube/objects.ts', 'node:', 'yaml', 'ipaddr.js', 'zod'] },
  {
    room: 'cli',
    may: [
      'agent',
      'config',
      'controller',
      'doctor',
      'errors.ts',
      'forwarder',
      'kube',
      'model.ts',
      'ops',
      'providers',
      'sandbox',
      'node:',
      'commander',
      'yaml',
    ],
  },
  { room: 'main.ts', may: ['cli', 'config', 'errors.ts', 'exit.ts', 'node:'] },
  { room: 'bin.js', may: ['node:'] },
  { room: 'kubectl-nodeport_lb.js', may: ['bin.js'] },
  { room: 'build.ts', may: ['node:', 'esbuild', 'prom-client', 'undici'] },
  { room: 'sbom.ts', may: ['node:'] },
];

/** Files that a room may not touch although the rest of their folder is open to it. */
const forbidden: readonly { readonly room: string; readonly not: string }[] = [{ room: 'controller', not: 'kube/client.ts' }];

function isIn(path: string, room: string): boolean {
  if (room.endsWith(':')) return path.startsWith(room);
  return path === room || path.startsWith(`${room}/`);
}

const sources = readSources();

test('every file belongs to a room', () => {
  expect(sources.map((s) => s.path).filter((path) => !rooms.some(({ room }) => isIn(path, room)))).toEqual([]);
});

describe.each(rooms.map(({ room }) => room))('%s', (room) => {
  test('imports only what it may', () => {
    const strays = sources
      .filter(({ path }) => isIn(path, room))
      .flatMap((source) =>
        importsOf(source)
          .filter((name) => !mayImport(source.path, name))
          .map((name) => `${source.path} -> ${name}`),
      );
    expect(strays).toEqual([]);
  });
});

function mayImport(path: string, name: string): boolean {
  const own = rooms.filter(({ room }) => isIn(path, room));
  const barred = forbidden.some(({ room, not }) => isIn(path, room) && isIn(name, not));
  return !barred && own.some(({ room, may }) => isIn(name, room) || may.some((other) => isIn(name, other)));
}

test('a library that is CommonJS is not loaded by import(): in the bundle it would have no names', () => {
  const modules = ['@kubernetes/client-node/dist/config.js'];
  const lazy = sources.flatMap(({ code }) => [...code.matchAll(/\bimport\('([^.'][^']*)'\)/g)].map((match) => match[1]!));
  expect(lazy.filter((name) => !modules.includes(name))).toEqual([]);
});

test('the import reader sees every form', () => {
  const code =
    "import a from './a.ts';\nimport type { b } from '../b.ts';\nimport {\n  c,\n} from 'c';\nexport { d } from './d.ts';\nimport 'e';\nconst f = await import('./f.ts');";
  expect(importsOf({ path: 'x/y.ts', text: code, code })).toEqual(['x/a.ts', 'b.ts', 'c', 'x/d.ts', 'e', 'x/f.ts']);
});
