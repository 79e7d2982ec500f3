import { explain } from '../../src/errors.ts';
import { runSuite } from './jest.ts';
import { chooseKubernetes } from './kubernetes.ts';
import { removeLeftovers } from './lab/claim.ts';
import { prepareTools } from './tools.ts';

/**
 * `npm run test:e2e [-- FILE … -t NAME --json --outputFile FILE]`: prepares the tools, then runs jest over this directory
 * with what was given. `E2E_KUBERNETES=1.33` in the environment runs it on that minor version (kubernetes.ts). Exits as jest does, with 2
 * when it cannot run at all.
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
  process.exitCode = await runSuite({ match: 'test/e2e/**/*.test.ts', ignore, testMs: TEST_MS });
  await removeLeftovers(); // what a test file that was cut off has left
} catch (error) {
  say(explain(error));
  process.exitCode = 2;
}
