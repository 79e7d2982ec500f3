import { explain } from '../../../src/errors.ts';
import { runSuite } from '../jest.ts';
import { removeLeftovers } from '../lab/claim.ts';
import { MachineUnfit, prepareParts } from './parts.ts';

/**
 * `npm run test:install [-- -t NAME --json --outputFile FILE]`: the chart and the image on nodes with kubelets, of `E2E_KUBERNETES` if it
 * is set. Exits as jest does, with 2 when something that it needs could not be had, and with 3 when the kernel of this machine cannot run kubelets at all.
 */
const TEST_MS = 240_000;
const say = (line: string) => console.error(`cluster: ${line}`);

try {
  await prepareParts(say);
  await removeLeftovers();
  process.exitCode = await runSuite({ match: 'test/e2e/install*.test.ts', testMs: TEST_MS });
  await removeLeftovers(); // what a test file that was cut off has left
} catch (error) {
  say(explain(error));
  process.exitCode = error instanceof MachineUnfit ? 3 : 2;
}
