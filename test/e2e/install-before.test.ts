import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { CHART, Helm, prepareHelm } from './chart-helm.ts';
import { findBefore, unpackBefore } from './cluster/before.ts';
import { type Cluster, startCluster } from './cluster/cluster.ts';
import { PRODUCT, PRODUCT_BEFORE } from './cluster/images.ts';
import { appManifest } from './cluster/kubia.ts';
import { addressOf, answers, underLoad } from './cluster/traffic.ts';

/** From the chart and the image of the last release to those of the checkout, under traffic. docs/release.md says how it is found. */

const [NAMESPACE, NAME, ADDRESS] = ['nodeport-lb', 'nodeport-lb', '172.31.77.60'];
const VALUES = { provider: 'local', localPools: [ADDRESS] };
const IMAGE_BEFORE = { image: { tag: PRODUCT_BEFORE.replace(/^.*:/, '') } };
const WAIT = ['--namespace', NAMESPACE, '--wait', '--timeout', '180s'];
const START_MS = 45 * 60_000; // with nothing in the caches
const kubia = { namespace: 'shop', name: 'kubia', replicas: 3, version: '1', type: 'LoadBalancer', image: PRODUCT } as const;

const directory = mkdtempSync(join(tmpdir(), 'nodeport-lb-before-'));
const tag = await findBefore();
let cluster: Cluster | undefined;

afterAll(async () => {
  await cluster?.close();
  rmSync(directory, { recursive: true, force: true });
});

if (tag === undefined) {
  test('no release has been tagged yet that could be upgraded from', async () => {
    expect(await findBefore()).toBeUndefined();
  });
} else {
  test(
    `an upgrade from ${tag} costs no request, and every Service keeps its address`,
    async () => {
      const { tree } = await unpackBefore(tag, directory);
      const own = await startCluster(2, tree);
      cluster = own;
      await own.addAddress('n1', ADDRESS);
      const helm = new Helm(await prepareHelm(), own.plane.directory);
      const old = join(tree, 'charts/nodeport-lb');
      await helm.inLab(own, ['install', NAME, old, '--create-namespace', ...WAIT], { ...VALUES, ...IMAGE_BEFORE });
      await own.kubectl(['create', 'namespace', 'shop']);
      await own.kubectl(['apply', '-f', '-'], { input: appManifest(kubia) });
      await own.rolledOut('shop', 'deploy/kubia');
      const url = `http://${await addressOf(own, 'shop', 'kubia')}/`;
      await answers(own, url, /"app":"kubia"/);

      const failures = await underLoad(own, url, async () => {
        await helm.inLab(own, ['upgrade', NAME, CHART, ...WAIT], VALUES);
        await own.rolledOut(NAMESPACE, `deploy/${NAME}`);
        await own.rolledOut(NAMESPACE, `daemonset/${NAME}-forwarder`);
      });
      expect(failures).toEqual([]);
      expect(await addressOf(own, 'shop', 'kubia')).toBe(ADDRESS);
      const images = await own.kubectl(['get', 'pods', '-n', NAMESPACE, '-o', 'jsonpath={.items[*].spec.containers[*].image}']);
      expect(images).not.toContain(PRODUCT_BEFORE.replace(/^.*\//, ''));
    },
    START_MS,
  );
}
