import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chart, readChartFile } from './chart.ts';
import { fillValuesTable } from './values-table.ts';

/** Part of `npm run docs`: brings the table of the chart's README up to date with values.yaml. */
const before = readChartFile('README.md');
const after = fillValuesTable(before);
if (after !== before) writeFileSync(join(chart, 'README.md'), after);
console.log(`charts/nodeport-lb/README.md: ${after === before ? 'up to date' : 'written'}`);
