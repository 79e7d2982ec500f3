import { cleanUpVips } from '../../../src/agent/vips/leftovers.ts';

const nothing = () => {};
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing };
console.log(JSON.stringify(await cleanUpVips({ runDir: process.argv[2] ?? '', log })));
