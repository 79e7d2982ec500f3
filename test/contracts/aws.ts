import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { accountPromises } from './aws/account.ts';
import { attributePromises } from './aws/attributes.ts';
import { ec2Promises } from './aws/ec2.ts';
import { listenerPromises } from './aws/listeners.ts';
import { loadBalancerPromises } from './aws/load-balancers.ts';
import { securityGroupPromises } from './aws/security-groups.ts';
import { type AwsUnderTest, type Promises, Stage } from './aws/stage.ts';
import { tagPromises } from './aws/tags.ts';
import { targetGroupPromises } from './aws/target-groups.ts';
import { targetPromises } from './aws/targets.ts';
import { tlsPromises } from './aws/tls.ts';
import { zonePromises } from './aws/zones.ts';

export type { AwsUnderTest } from './aws/stage.ts';

/** Something that an emulator does otherwise than AWS. */
export interface Deviation {
  readonly id: string;
  /** What it does instead. */
  readonly reason: string;
  /** Titles of the tests that it fails for it; that they do fail is tested. */
  readonly tests: readonly string[];
}

const promises: Readonly<Record<string, Promises>> = {
  'load balancers': loadBalancerPromises,
  'zones and addresses': zonePromises,
  attributes: attributePromises,
  'target groups': targetGroupPromises,
  targets: targetPromises,
  listeners: listenerPromises,
  TLS: tlsPromises,
  tags: tagPromises,
  'the account': accountPromises,
  'EC2: what is there': ec2Promises,
  'EC2: security groups': securityGroupPromises,
};

/**
 * What this project relies on in AWS, asked of by the real SDK. It runs unchanged over the sandbox and over emulators, so that what an
 * emulator does otherwise is known, declared, and noticed when it changes.
 */
export function awsContract(name: string, start: () => Promise<AwsUnderTest>, deviations: readonly Deviation[] = []): void {
  describe(`AWS: ${name}`, () => {
    let stage: Stage;
    beforeAll(async () => {
      stage = new Stage(await start());
    }, 180_000);
    afterEach(() => stage.sweep());
    afterAll(() => stage?.close(), 30_000);

    for (const [part, tests] of Object.entries(promises)) {
      describe(part, () => {
        for (const [title, run] of Object.entries(tests)) {
          const deviation = deviations.find((one) => one.tests.includes(title));
          if (!deviation) test(title, () => run(stage));
          else test(`otherwise (${deviation.id}): ${title}`, () => expect(run(stage)).rejects.toBeDefined());
        }
      });
    }

    test('every declared deviation is about tests that there are', () => {
      const titles = Object.values(promises).flatMap((part) => Object.keys(part));
      expect(titles).toEqual(expect.arrayContaining(deviations.flatMap(({ tests }) => tests)));
      expect(new Set(titles).size).toBe(titles.length);
    });
  });
}
