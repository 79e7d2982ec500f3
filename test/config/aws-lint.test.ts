import { describe, expect, test } from '@jest/globals';
import { readAnnotations } from '../../src/config/annotations.ts';

const AWS = 'service.beta.kubernetes.io/aws-load-balancer-';
const prefixed = (short: Readonly<Record<string, string>>) =>
  Object.fromEntries(Object.entries(short).map(([name, value]) => [AWS + name, value]));

const told = (short: Readonly<Record<string, string>>, provider = 'aws') =>
  readAnnotations(prefixed(short), provider).understood.map(({ annotation, message }) => `${annotation} ${message}`);

describe('where another controller would mean something else, the author is told what it means here', () => {
  test.each<{ why: string; annotations: Readonly<Record<string, string>>; says: RegExp }>([
    {
      why: 'internal that contradicts scheme',
      annotations: { internal: 'true', scheme: 'internet-facing' },
      says: /-internal has no effect beside .*scheme; cloud-provider-aws reads this one/,
    },
    {
      why: 'every port by a star',
      annotations: { 'ssl-ports': '*' },
      says: /-ssl-ports is every port.*finds no port of that name/,
    },
    { why: 'PROXY protocol', annotations: { 'proxy-protocol': '*' }, says: /PROXY protocol v2.*cloud-provider-aws ignores it/ },
    {
      why: 'a label without a value',
      annotations: { 'target-node-labels': 'edge=, zone=a' },
      says: /label is empty.*has the label/,
    },
    { why: 'the timeout of checks', annotations: { 'healthcheck-timeout': '7' }, says: /leaves the timeout at its default/ },
    { why: 'no TCP_UDP listener', annotations: { 'enable-tcp-udp-listener': 'false' }, says: /always one listener/ },
  ])('$why', ({ annotations, says }) => {
    expect(told(annotations)).toEqual([expect.stringMatching(says)]);
    expect(told(annotations, 'local')).toEqual([]);
  });

  test.each<{ why: string; annotations: Readonly<Record<string, string>> }>([
    { why: 'internal and scheme that agree', annotations: { internal: 'true', scheme: 'internal' } },
    { why: 'named ports', annotations: { 'ssl-ports': 'https,8443' } },
    { why: 'labels with values', annotations: { 'target-node-labels': 'edge=true' } },
    { why: 'a TCP_UDP listener', annotations: { 'enable-tcp-udp-listener': 'true' } },
    { why: 'a timeout that is not valid, which is told elsewhere', annotations: { 'healthcheck-timeout': 'soon' } },
  ])('and not where all mean the same: $why', ({ annotations }) => expect(told(annotations)).toEqual([]));
});

test.each([
  'access-log-emit-interval',
  'connection-draining-enabled',
  'connection-draining-timeout',
  'connection-idle-timeout',
  'extra-security-groups',
])('%s is of classic load balancers, and is named as one without effect', (name) => {
  expect(readAnnotations(prefixed({ [name]: '60' }), 'aws').warnings).toEqual([
    { annotation: AWS + name, message: expect.stringMatching(/has no effect on an NLB: \w/) },
  ]);
});
