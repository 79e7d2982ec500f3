import { cp, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'esbuild';

/**
 * Builds `dist/`, which the package and the image run: Node strips no types under node_modules, and a bundle loads faster and
 * smaller. What is loaded lazily in the sources stays in chunks of its own.
 */

const root = fileURLToPath(new URL('..', import.meta.url));
const dist = `${root}dist`;

/** CommonJS libraries ask for Node's own modules by `require`, which an ES module has not got. */
const REQUIRE =
  "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);";

/**
 * The client library's generated classes do nothing when they are loaded but do not say so; without this the 700 that nobody
 * uses are bundled, loaded and kept (measured: the idle controller's RSS is 101 MB without them, 115 MB with them).
 */
const dropUnusedModels: Plugin = {
  name: 'drop-unused-models',
  setup(building) {
    building.onResolve({ filter: /./ }, async ({ path, pluginData, ...asked }) => {
      if (pluginData === 'asked' || !asked.importer.includes('client-node/dist')) return undefined;
      const found = await building.resolve(path, { ...asked, pluginData: 'asked' });
      return found.path.includes('client-node/dist/gen/') ? { ...found, sideEffects: false } : undefined;
    });
  },
};

await rm(dist, { recursive: true, force: true });
const result = await build({
  absWorkingDir: root,
  entryPoints: { main: 'src/main.ts', 'forwarder/process': 'src/forwarder/process.ts' },
  outdir: dist,
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node22.19',
  minify: true,
  keepNames: true, // errors and logs show the names of classes
  legalComments: 'linked', // the licences of what is bundled
  banner: { js: REQUIRE },
  plugins: [dropUnusedModels],
  metafile: true,
  logLevel: 'warning',
});
await cp(`${root}src/sandbox/demo/manifests`, `${dist}/manifests`, { recursive: true });

const bytes = Object.values(result.metafile.outputs).reduce((sum, output) => sum + output.bytes, 0);
console.log(`dist/: ${Object.keys(result.metafile.outputs).length} files, ${Math.round(bytes / 1024)} KiB`);
