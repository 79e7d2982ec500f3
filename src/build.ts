import { chmod, cp, readdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/**
 * Builds `dist/` (or the folder that is named), which the package and the image run: Node strips no types under node_modules,
 * and a bundle loads faster and smaller. What is loaded lazily in the sources stays in chunks of its own.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = resolve(process.argv[2] ?? join(root, 'dist'));

/** CommonJS libraries ask for Node's own modules by `require`, which an ES module has not got. */
const REQUIRE = "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";

/**
 * Modules that are replaced by less; what is asked for and missing here fails the build. Figures: resident memory of a controller.
 * - The client's configuration brings the whole generated API for one method that nobody calls, and undici a browser's fetch, caches and
 *   WebSockets beside the pools: 3 MB.
 * - `kube/transport.ts` opens no HTTP/2, for which Node and undici have much code of their own: 1 MB.
 * - prom-client's counters of the process, which nobody asks for, load cluster and OpenTelemetry.
 */
const lean: Readonly<Record<string, string>> = {
  './gen/index.js': `
    export const createConfiguration = () => { throw new Error('the generated API is not in the bundle'); };
    export class ServerConfiguration {}`,
  undici: `
    export { default as Agent } from 'undici/lib/dispatcher/agent.js';
    export { default as Pool } from 'undici/lib/dispatcher/pool.js';
    export { default as ProxyAgent } from 'undici/lib/dispatcher/proxy-agent.js';`,
  './client-h2.js': `module.exports = () => { throw new Error('HTTP/2 is not in the bundle'); };`,
  'prom-client': `
    export { default as Counter } from 'prom-client/lib/counter.js';
    export { default as Gauge } from 'prom-client/lib/gauge.js';
    export { default as Histogram } from 'prom-client/lib/histogram.js';
    export { default as Registry } from 'prom-client/lib/registry.js';`,
};

/** A relative path is the one that is meant only in these files. */
const askedBy: Readonly<Record<string, RegExp>> = {
  './gen/index.js': /client-node[/\\]dist[/\\]config\.js$/,
  './client-h2.js': /undici[/\\]lib[/\\]dispatcher[/\\]client\.js$/,
};

const leanModules: Plugin = {
  name: 'lean',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(undici|prom-client|\.\/gen\/index\.js|\.\/client-h2\.js)$/ }, ({ path, importer }) =>
      (askedBy[path]?.test(importer) ?? true) ? { path, namespace: 'lean' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'lean' }, ({ path }) => ({ contents: lean[path]!, resolveDir: root }));
  },
};

/**
 * Node makes a namespace of `node:http` for whoever imports it, and to do so reads all that it exports, also the fetch and the WebSocket
 * which are else loaded at first use: 14 MB in a process that has nothing else, 3 MB beside our undici. The object itself does without.
 */
const quietHttp: Plugin = {
  name: 'quiet-http',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, ({ kind }) =>
      kind === 'import-statement' ? { path: 'node:http', namespace: 'quiet-http' } : undefined,
    );
    onLoad({ filter: /.*/, namespace: 'quiet-http' }, () => ({
      contents: `module.exports = process.getBuiltinModule('node:http');`,
    }));
  },
};

/**
 * The AWS clients describe every action of their service, and EC2 has hundreds: 1 MB of code and 40 MB of memory once loaded. Their
 * descriptions are plain arrays, but with computed keys, which a bundler must take for more; marked as without effect, those that
 * no command of ours uses are left out.
 */
const leanSchemas: Plugin = {
  name: 'lean-schemas',
  setup({ onLoad }) {
    onLoad({ filter: /@aws-sdk[/\\]client-[^/\\]+[/\\]dist-es[/\\]schemas[/\\]schemas_0\.js$/ }, async ({ path }) => {
      const code = await readFile(path, 'utf8');
      return { contents: code.replace(/^((?:export )?var \S+ = )(\[[\s\S]*?\]);$/gm, '$1/* @__PURE__ */ (() => ($2))();') };
    });
  },
};

await rm(dist, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: root,
  entryPoints: { main: 'src/main.ts', 'forwarder/process': 'src/forwarder/process.ts' },
  outdir: dist,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22.19',
  minify: true,
  keepNames: true, // errors show the names of classes
  legalComments: 'linked', // the licences of what is bundled
  banner: { js: REQUIRE },
  mainFields: ['module', 'main'], // CommonJS cannot be left out in parts
  plugins: [leanModules, quietHttp, leanSchemas],
  define: { esbuildDetection: 'true' }, // undici then leaves out its second parser, which is experimental
  metafile: true,
  logLevel: 'warning',
});
await cp(join(root, 'src/sandbox/demo/manifests'), join(dist, 'manifests'), { recursive: true });

/** npm packs a file with its mode, so that whoever has another umask would make another package, which others cannot read. */
async function openToAll(paths: readonly string[], mode: number): Promise<void> {
  for (const path of paths) await chmod(path, mode);
}
const found = await readdir(dist, { recursive: true, withFileTypes: true });
const made = (directories: boolean) => found.filter((entry) => entry.isDirectory() === directories);
const pathsOf = (entries: typeof found) => entries.map(({ parentPath, name }) => join(parentPath, name));
await openToAll([dist, ...pathsOf(made(true))], 0o755);
await openToAll(pathsOf(made(false)), 0o644);
if (process.env['npm_lifecycle_event'] === 'prepack') {
  const beside = ['package.json', 'README.md', 'CHANGELOG.md', 'LICENSE'].map((name) => join(root, name));
  await openToAll(beside, 0o644);
  await openToAll([join(root, 'src/bin.js'), join(root, 'src/kubectl-nodeport_lb.js')], 0o755);
}

const files = Object.values(metafile.outputs);
console.log(`${dist}: ${files.length} files, ${Math.round(files.reduce((sum, file) => sum + file.bytes, 0) / 1024)} KiB`);
