import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { root } from '../house/sources.ts';

/** The image's list of what is in it. */
test('every package is in it once: npm’s for production, Debian’s that are installed, and Node', () => {
  const directory = mkdtempSync(join(tmpdir(), 'nplb-sbom-'));
  try {
    const status = join(directory, 'status');
    const libc = 'Package: libc6\nStatus: install ok installed\nArchitecture: arm64\nVersion: 2.36-9+deb12u10\n';
    writeFileSync(status, `${libc}\nPackage: gone\nStatus: deinstall ok config-files\n\n${libc}`);
    const make = () => execFileSync(process.execPath, [join(root, 'src/sbom.ts'), status], { encoding: 'utf8' });
    const { components, ...document } = JSON.parse(make()) as { components: { name: string; version: string; purl: string }[] };
    const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { dependencies: object };
    expect(document).toMatchObject({ bomFormat: 'CycloneDX', metadata: { component: { name: 'nodeport-lb' } } });
    const of = (kind: string) => components.filter(({ purl }) => purl.startsWith(`pkg:${kind}/`));
    expect(of('npm').map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(dependencies)));
    expect(of('npm').map(({ name }) => name)).not.toContain('jest');
    expect(of('deb').map(({ purl }) => purl)).toEqual(['pkg:deb/debian/libc6@2.36-9%2Bdeb12u10?arch=arm64&distro=bookworm']);
    expect(of('generic').map(({ name, version }) => [name, version])).toEqual([['node', process.versions.node]]);
    expect(make()).toBe(make());
  } finally {
    rmSync(directory, { recursive: true });
  }
});
