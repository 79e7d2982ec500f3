import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeCall } from '../../charts/grants.ts';
import { readAudit } from './audit.ts';

/**
 * What the program has asked of every API server of a run of the suite, whichever rights it had and whatever the answer was: each lab adds
 * its own before it goes. `run.ts` holds it against what the chart grants.
 */

/** Names the directory of the run; unset: nothing is recorded. */
const VARIABLE = 'E2E_REQUESTS';
/** As src/kube/client.ts has it. Test code that takes the program's token has another. */
const USER_AGENT = 'nodeport-lb';
/** Who runs a command with their own rights, as admin, is nobody whom the chart gives any. */
const OF_CHART = /^system:serviceaccount:/;

/** Labs of processes that are started from here on are recorded. */
export function beginRecord(): void {
  process.env[VARIABLE] = mkdtempSync(join(tmpdir(), 'nplb-requests-'));
}

/** Called by each lab, while its audit log is there. */
export function recordRequests(lab: string, auditLog: string): void {
  const directory = process.env[VARIABLE];
  if (directory === undefined) return;
  const own = readAudit(auditLog, {}).filter(({ user, agent }) => agent === USER_AGENT && OF_CHART.test(user));
  writeFileSync(join(directory, lab), [...new Set(own.map(describeCall))].join('\n'));
}

/** @returns every request of the run, once */
export function endRecord(): ReadonlySet<string> {
  const directory = process.env[VARIABLE] ?? '';
  const lines = readdirSync(directory).flatMap((lab) => readFileSync(join(directory, lab), 'utf8').split('\n'));
  rmSync(directory, { recursive: true });
  return new Set(lines.filter((line) => line !== ''));
}
