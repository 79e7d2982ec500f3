import { findStranger } from '../../src/providers/local/strangers.ts';

console.log(JSON.stringify((await findStranger(process.argv[2] ?? '')) ?? null));
