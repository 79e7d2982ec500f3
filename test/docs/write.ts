import { readFileSync, writeFileSync } from 'node:fs';
import { makePolicy } from '../../src/providers/aws/policy.ts';
import { fillTables } from './tables.ts';

/** `npm run docs`: brings the tables of the README up to date with the code. */
const readme = new URL('../../README.md', import.meta.url);
const before = readFileSync(readme, 'utf8');
const after = fillTables(before);
if (after !== before) writeFileSync(readme, after);
console.log(after === before ? 'README.md: up to date' : 'README.md: written');

const policy = new URL('../../docs/aws-iam-policy.json', import.meta.url);
writeFileSync(policy, `${JSON.stringify(makePolicy('kubernetes'), null, 2)}\n`);
