import { describe, expect, test } from '@jest/globals';
import { columns, type ServiceRow, servicesTable, tally, wrap } from '../../../src/sandbox/demo/tables.ts';

const kubia: ServiceRow = {
  name: 'kubia-loadbalancer',
  type: 'LoadBalancer',
  clusterIP: '10.96.241.153',
  externalIPs: ['127.0.10.33'],
  ports: [{ port: 30080, nodePort: 31402, protocol: 'TCP' }],
  servedPorts: new Map(),
};

describe('the table of Services', () => {
  test('fits 80 columns with the longest names of the demo', () => {
    for (const line of servicesTable([kubia])) expect(line.length).toBeLessThanOrEqual(80);
  });

  test.each<{ why: string; service: ServiceRow; shows: RegExp }>([
    {
      why: 'the external address',
      service: kubia,
      shows: /^kubia-loadbalancer {2}LoadBalancer .* 127\.0\.10\.33 {2}30080:31402\/TCP$/,
    },
    { why: 'that it is pending', service: { ...kubia, externalIPs: [] }, shows: / <pending> / },
    { why: 'that there is none to come', service: { ...kubia, type: 'NodePort', externalIPs: [] }, shows: / <none> / },
    {
      why: 'a port without a node port',
      service: { ...kubia, ports: [{ port: 3000, nodePort: 0, protocol: 'TCP' }] },
      shows: / 3000\/TCP$/,
    },
  ])('shows $why', ({ service, shows }) => expect(servicesTable([service])[1]).toMatch(shows));

  test('shows both ports where one could not be bound', () => {
    const lines = servicesTable([{ ...kubia, servedPorts: new Map([[30080, 49153]]) }]);
    expect(lines).toHaveLength(3);
    expect(lines[1]).toContain('30080:31402/TCP');
    expect(lines[2]).toContain('127.0.10.33:49153');
    expect(lines[2]!.length).toBeLessThanOrEqual(80);
  });
});

test('columns are as wide as their longest cell', () => {
  expect(
    columns([
      ['a', 'bbb'],
      ['cccc', 'd'],
    ]),
  ).toEqual(['a     bbb', 'cccc  d']);
});

test('a tally counts by key, in the order of the keys', () => {
  expect([...tally(['b', 'a', 'b'])]).toEqual([
    ['a', 1],
    ['b', 2],
  ]);
});

test.each([
  { words: 'one two three', width: 8, lines: ['one two', 'three'] },
  { words: 'overlong', width: 4, lines: ['overlong'] },
  { words: '', width: 4, lines: [''] },
])('"$words" in $width columns', ({ words, width, lines }) => expect(wrap(words, width)).toEqual(lines));
