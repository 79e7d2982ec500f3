import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';
import { run } from '../lab/command.ts';
import {
  findGo,
  fromCache,
  installCommands,
  prepareTools,
  requireRoot,
  type Tools,
  ToolsMissing,
  unpackPackages,
} from '../tools.ts';

/** What nodes with real pods need beyond the other labs. */
export interface Parts extends Tools {
  /** Directories with containerd, its shim, ctr and runc, for PATH. */
  readonly path: readonly string[];
  /** Directory of the CNI plugins. */
  readonly cni: string;
  readonly pause: string;
}

/** The kernel of this machine lacks what a kubelet needs: no package would help. */
export class MachineUnfit extends Error {
  override readonly name = 'MachineUnfit';

  constructor(problem: string) {
    super(`nodes with kubelets cannot run on this machine: ${problem}`);
  }
}

/** Debian's package of each command. */
const PACKAGES: Readonly<Record<string, string>> = {
  buildah: 'buildah',
  mmdebstrap: 'mmdebstrap',
  iptables: 'iptables', // the CNI plugins masquerade with it
  unshare: 'util-linux',
};

/** What of Debian's containerd is unpacked; runc links libseccomp2, which may be missing on a small machine. */
const UNPACKED = ['containerd', 'runc', 'containernetworking-plugins', 'libseccomp2'] as const;
const BUILD_MS = 5 * 60_000;

/**
 * Finds, installs or builds everything that the cluster runs.
 * @throws {MachineUnfit} naming what its kernel lacks
 * @throws {ToolsMissing} naming what could not be had, and why
 */
export async function prepareParts(say: (line: string) => void): Promise<Parts> {
  requireRoot();
  const lacking = (await cgroupProblem()) ?? overlayProblem();
  if (lacking) throw new MachineUnfit(lacking);
  const tools = await prepareTools(say);
  await installCommands(say, PACKAGES);
  const unpacked = await unpackPackages('containerd-debian', UNPACKED, say);
  if (!unpacked) throw new ToolsMissing(['containerd and runc come from Debian packages, and there is no apt-get']);
  const path = ['usr/bin', 'usr/sbin'].map((place) => join(unpacked, place));
  return { ...tools, path, cni: join(unpacked, 'usr/lib/cni'), pause: await buildPause(say) };
}

/** @returns what is wrong with the machine's control groups, or undefined */
async function cgroupProblem(): Promise<string | undefined> {
  const found = existsSync('/sys/fs/cgroup') ? readdirSync('/sys/fs/cgroup') : [];
  if (found.length === 0) return '/sys/fs/cgroup is empty: mount the control groups, which the kubelet puts pods into';
  if (found.includes('cgroup.controllers'))
    return 'this machine has control groups v2 alone, on which this lab was never run: it needs a machine with those of v1';
  try {
    const probe = `/sys/fs/cgroup/memory/nplb-probe-${process.pid}`;
    await run('sh', ['-ec', `mkdir ${probe}; rmdir ${probe}`]);
    return undefined;
  } catch (error) {
    return `control groups cannot be made below /sys/fs/cgroup/memory, so no pod can run: ${error instanceof Error ? error.message : error}`;
  }
}

/** Containerd and buildah keep layers in overlays. A module that could be loaded is loaded by the first mount. */
function overlayProblem(): string | undefined {
  const known = readFileSync('/proc/filesystems', 'utf8').includes('overlay');
  const kernel = release();
  const module = ['modules.builtin', 'modules.dep'].some((file) => {
    const path = `/lib/modules/${kernel}/${file}`;
    return existsSync(path) && readFileSync(path, 'utf8').includes('/overlay.ko');
  });
  return known || module ? undefined : `its kernel ${kernel} has no overlay file system, which containers are kept in`;
}

async function buildPause(say: (line: string) => void): Promise<string> {
  const made = await fromCache('pause-1', async (directory) => {
    const go = await findGo(say);
    const env = { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-buildvcs=false' };
    const args = ['build', '-ldflags', '-s -w', '-o', join(directory, 'pause'), join(import.meta.dirname, 'pause.go')];
    await run(go, args, { timeoutMs: BUILD_MS, env });
    return true;
  });
  return join(made ?? '', 'pause');
}
