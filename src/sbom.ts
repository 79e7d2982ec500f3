import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * `node src/sbom.ts DPKG-STATUS-FILE…`: what the image holds, as CycloneDX 1.5 (https://cyclonedx.org/docs/1.5/json/) on standard
 * output. npm's packages are those of the lock file that are neither for development nor optional, so a few more than the bundle
 * took in; Debian's are those that the files list. The same input gives the same text.
 */

interface Component {
  readonly type: 'library' | 'platform';
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  readonly licenses?: readonly { readonly expression: string }[];
}

interface Locked {
  readonly version?: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
  readonly devOptional?: boolean;
}

const root = fileURLToPath(new URL('..', import.meta.url));
const readJson = <T>(file: string): T => JSON.parse(readFileSync(join(root, file), 'utf8')) as T;

function fromLock(): readonly Component[] {
  const { packages } = readJson<{ packages: Record<string, Locked> }>('package-lock.json');
  return Object.entries(packages)
    .filter(([path, { dev, optional, devOptional }]) => path !== '' && !dev && !optional && !devOptional)
    .map(([path, { version = '', license }]) => {
      const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const purl = `pkg:npm/${name.replace('@', '%40')}@${version}`;
      return { type: 'library', name, version, purl, ...(license ? { licenses: [{ expression: license }] } : {}) };
    });
}

/** Paragraphs of `Field: value` lines, as in /var/lib/dpkg/status; a package that is not installed has no version there. */
function fromDpkg(text: string): readonly Component[] {
  return text.split(/\n{2,}/).flatMap((paragraph) => {
    const field = (name: string) => new RegExp(`^${name}: (.+)$`, 'm').exec(paragraph)?.[1];
    const [name, version, arch] = [field('Package'), field('Version'), field('Architecture')];
    if (!name || !version) return [];
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}?arch=${arch}&distro=bookworm`;
    return [{ type: 'library', name, version, purl }];
  });
}

const node = process.versions.node;
const { name, version, license } = readJson<{ name: string; version: string; license: string }>('package.json');
const components: readonly Component[] = [
  { type: 'platform', name: 'node', version: node, purl: `pkg:generic/node@${node}` },
  ...fromLock(),
  ...process.argv.slice(2).flatMap((file) => fromDpkg(readFileSync(file, 'utf8'))),
];
const subject = { type: 'container', name, version, licenses: [{ expression: license }] };
const sorted = [...new Map(components.map((component) => [component.purl, component])).values()].sort((a, b) =>
  a.purl < b.purl ? -1 : 1,
);
const document = { bomFormat: 'CycloneDX', specVersion: '1.5', version: 1, metadata: { component: subject }, components: sorted };
process.stdout.write(`${JSON.stringify(document, undefined, 1)}\n`);
