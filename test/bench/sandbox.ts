import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { AuditEntry } from '../../src/sandbox/kube/audit.ts';

/** More than a whole benchmark asks. */
const AUDIT_KEPT = 1_000_000;

export interface SandboxApi {
  readonly url: string;
  /** What the controller has written so far. */
  readWrites(): Promise<readonly AuditEntry[]>;
  close(): void;
}

/** Starts the sandbox's API in a process of its own, which ends with this one. */
export async function startSandboxApi(): Promise<SandboxApi> {
  const kube = join(import.meta.dirname, '../../src/sandbox/kube/kube.ts');
  const program = `const { startKube } = await import(${JSON.stringify(kube)});
    const kube = await startKube({ maxAuditKept: ${AUDIT_KEPT} });
    console.log(kube.url);
    const reads = ['get', 'list', 'watch'];
    process.stdin.on('data', () => {
      const writes = kube.audit.filter((entry) => entry.agent.startsWith('nodeport-lb') && !reads.includes(entry.verb));
      console.log(JSON.stringify(writes));
    });
    process.stdin.on('end', () => process.exit(0));`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout });
  const ended = new Promise<never>((_, reject) => {
    child.once('exit', (code) => reject(new Error(`the sandbox ended with ${code}`)));
  });
  ended.catch(() => {}); // told to whoever waits for a line
  const nextLine = async (): Promise<string> => String((await Promise.race([once(lines, 'line'), ended]))[0]);
  const url = await nextLine();
  return {
    url,
    async readWrites() {
      child.stdin.write('\n');
      return JSON.parse(await nextLine()) as readonly AuditEntry[];
    },
    close: () => child.stdin.end(),
  };
}
