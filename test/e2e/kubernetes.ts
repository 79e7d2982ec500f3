import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const HYPER = join(import.meta.dirname, 'hyper');

/** Minor versions that the labs can be built of, with the module file that each is built by, the newest first. */
const MINORS = { '1.36': 'go.mod', '1.33': 'go-1.33.mod' } as const;

/** Which Kubernetes a lab runs. */
export interface Kubernetes {
  /** Such as 1.36.3. */
  readonly version: string;
  readonly isNewest: boolean;
  /** Absolute path; what Go calls its sum file lies beside it. */
  readonly modFile: string;
}

/**
 * The minor version named by `E2E_KUBERNETES`, else the newest.
 * @throws {Error} naming those that there are
 */
export function chooseKubernetes(env: Readonly<Record<string, string | undefined>> = process.env): Kubernetes {
  const minors = Object.keys(MINORS) as (keyof typeof MINORS)[];
  const minor = minors.find((known) => known === (env['E2E_KUBERNETES'] || minors[0]));
  if (minor === undefined) throw new Error(`E2E_KUBERNETES=${env['E2E_KUBERNETES']}: must be one of ${minors.join(', ')}`);
  const modFile = join(HYPER, MINORS[minor]);
  const version = /^\tk8s\.io\/kubernetes v(\d+\.\d+\.\d+)$/m.exec(readFileSync(modFile, 'utf8'))?.[1];
  if (version === undefined) throw new Error(`${modFile} does not require k8s.io/kubernetes`);
  return { version, isNewest: minor === minors[0], modFile };
}

/** As `go build` reads it. */
export function sumFileOf({ modFile }: Kubernetes): string {
  return modFile.replace(/\.mod$/, '.sum');
}
