import { explain } from '../../src/errors.ts';
import { callsOfTable, grantsOf, judgeRequests, readBlocks } from '../charts/grants.ts';
import { runSuite } from './jest.ts';
import { chooseKubernetes } from './kubernetes.ts';
import { removeLeftovers } from './lab/claim.ts';
import { beginRecord, endRecord } from './lab/requests.ts';
import { prepareTools } from './tools.ts';

/**
 * `npm run test:e2e [-- FILE … -t NAME --json --outputFile FILE]`: prepares the tools, then runs jest over this directory
 * with what was given. `E2E_KUBERNETES=1.33` in the environment runs it on that minor version (kubernetes.ts). Exits as jest does, with 2
 * when it cannot run at all. Every request that the program has made must be one that the chart grants, and a run of the whole suite must
 * have made each that it grants: else it exits with 1.
 */
const TEST_MS = 180_000; // one scenario, with a control plane and half a dozen processes on a busy machine
const INSTALLED = 'test/e2e/install'; // those with kubelets have a run of their own: cluster/run.ts
/** What the sandbox imitates, held to the newest Kubernetes: older ones differ, for instance in what they warn of. */
const IMITATED = 'test/e2e/kube-api';
const say = (line: string) => console.error(`e2e: ${line}`);

try {
  await prepareTools(say);
  await removeLeftovers();
  const ignore = chooseKubernetes().isNewest ? [INSTALLED] : [INSTALLED, IMITATED];
  beginRecord();
  const code = await runSuite({ match: 'test/e2e/**/*.test.ts', ignore, testMs: TEST_MS });
  process.exitCode = code || judgeRights(endRecord());
  await removeLeftovers(); // what a test file that was cut off has left
} catch (error) {
  say(explain(error));
  process.exitCode = 2;
}

/** Whether every file was to be run. */
function isWhole(args: readonly string[]): boolean {
  const words = args.filter((arg, i) => !/^--(outputFile|maxWorkers)$/.test(args[i - 1] ?? '') && !arg.startsWith('--'));
  return words.length === 0 && !args.some((arg) => arg.startsWith('--testNamePattern'));
}

/** @returns the exit code */
function judgeRights(asked: ReadonlySet<string>): 0 | 1 {
  const granted = grantsOf([...readBlocks().values()].flat());
  const { tooFew, tooMany } = judgeRequests(asked, granted);
  const { tooFew: unknown } = judgeRequests(asked, callsOfTable());
  for (const call of tooFew) say(`rights: the program asked for "${call}", which the chart does not grant`);
  for (const call of unknown) say(`rights: the program asked for "${call}", which its table of calls does not have`);
  if (!isWhole(process.argv.slice(2))) {
    if (asked.size > 0) say(`rights: ${asked.size} of ${new Set(granted).size} were used; not: ${tooMany.join(', ') || 'none'}`);
    return tooFew.length + unknown.length === 0 ? 0 : 1;
  }
  for (const call of tooMany) say(`rights: the chart grants "${call}", which nothing in the suite has asked for`);
  const good = tooFew.length + unknown.length + tooMany.length === 0;
  if (good) say(`rights: the suite has used all ${asked.size} that the chart grants, and no other`);
  return good ? 0 : 1;
}
