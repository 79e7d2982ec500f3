import { describe, expect, test } from '@jest/globals';
import { readWeights } from '../../src/config/weights.ts';

const TCP_80 = 'service.beta.kubernetes.io/actions.TCP-80';
const arn = 'arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/blue/0123456789abcdef';
const canary = { serviceName: 'canary', servicePort: 8080, weight: 10 };

function action(config: object): string {
  return JSON.stringify({ type: 'forward', forwardConfig: { baseServiceWeight: 90, targetGroups: [canary], ...config } });
}

describe('weights of a port', () => {
  test('are read from the JSON of AWS Load Balancer Controller', () => {
    const targetGroups = [
      canary,
      { serviceName: 'green', servicePort: 'http', weight: 0, decrypt: true },
      { targetGroupARN: arn, weight: 999 },
    ];
    const text = action({ targetGroups, targetGroupStickinessConfig: { enabled: true } });
    expect(readWeights({ [TCP_80]: text, other: '{' })).toEqual({
      weights: [
        {
          annotation: TCP_80,
          protocol: 'TCP',
          port: 80,
          weight: 90,
          sticky: true,
          others: [
            { weight: 10, service: 'canary', port: 8080, decrypt: false },
            { weight: 0, service: 'green', port: 'http', decrypt: true },
            { weight: 999, id: arn },
          ],
        },
      ],
      problems: [],
    });
  });

  test.each<{ why: string; text: string; value: string; says: RegExp; name?: string }>([
    { why: 'no JSON', text: '{"type":', value: '{"type":', says: /^it must be JSON/ },
    { why: 'no object', text: '[]', value: '[]', says: /^it must be an object of type, forwardConfig/ },
    { why: 'another type', text: '{"type":"redirect"}', value: 'redirect', says: /^type must be "forward"/ },
    { why: 'no forwardConfig', text: '{"type":"forward"}', value: 'nothing', says: /^forwardConfig must be an object/ },
    { why: 'an unknown field', text: action({ weights: 1 }), value: 'weights', says: /field of forwardConfig .*targetGroups/ },
    {
      why: 'a weight beyond 999',
      text: action({ baseServiceWeight: 1000 }),
      value: '1000',
      says: /^forwardConfig\.baseServiceWeight must be a whole number from 0 to 999/,
    },
    {
      why: 'no weight',
      text: action({ targetGroups: [{ serviceName: 'canary', servicePort: 80 }] }),
      value: 'nothing',
      says: /^forwardConfig\.targetGroups\[0\]\.weight must be/,
    },
    {
      why: 'a broken weight',
      text: action({ targetGroups: [canary, { ...canary, servicePort: 1, weight: 0.5 }] }),
      value: '0.5',
      says: /targetGroups\[1\]\.weight/,
    },
    { why: 'five more', text: action({ targetGroups: Array(5).fill(canary) }), value: '5', says: /list of at most 4/ },
    { why: 'one twice', text: action({ targetGroups: [canary, canary] }), value: 'canary:8080', says: /\[1\] must be another/ },
    {
      why: 'a Service of another namespace',
      text: action({ targetGroups: [{ ...canary, serviceName: 'blue/canary' }] }),
      value: 'blue/canary',
      says: /serviceName must be the name of a Service of this namespace/,
    },
    {
      why: 'a group by name',
      text: action({ targetGroups: [{ targetGroupName: 'blue', weight: 1 }] }),
      value: 'targetGroupName',
      says: /one of serviceName, servicePort, weight, decrypt/,
    },
    {
      why: 'both ways at once',
      text: action({ targetGroups: [{ ...canary, targetGroupARN: arn }] }),
      value: 'serviceName',
      says: /one of targetGroupARN, weight/,
    },
    {
      why: 'an ARN of something else',
      text: action({ targetGroups: [{ targetGroupARN: 'arn:aws:s3:::x', weight: 1 }] }),
      value: 'arn:aws:s3:::x',
      says: /targetGroupARN must be the ARN of a target group/,
    },
    {
      why: 'nobody gets anything',
      text: action({ baseServiceWeight: 0, targetGroups: [{ ...canary, weight: 0 }] }),
      value: '0',
      says: /the sum of the weights must be at least 1/,
    },
    {
      why: 'how long clients stay',
      text: action({ targetGroupStickinessConfig: { enabled: true, durationSeconds: 60 } }),
      value: 'durationSeconds',
      says: /one of enabled/,
    },
    { why: 'no port in the name', name: 'http', text: action({}), value: 'http', says: /PROTOCOL-PORT, such as TCP-80/ },
    { why: 'an unknown protocol', name: 'QUIC-80', text: action({}), value: 'QUIC-80', says: /TCP, UDP, TCP_UDP, TLS/ },
    { why: 'a port that is none', name: 'TCP-70000', text: action({}), value: 'TCP-70000', says: /PROTOCOL-PORT/ },
  ])('$why: the place, the value and what is allowed are told', ({ text, value, says, name = 'TCP-80' }) => {
    const { weights, problems } = readWeights({ [`service.beta.kubernetes.io/actions.${name}`]: text });
    expect(weights).toEqual([]);
    expect(problems).toMatchObject([{ value, message: expect.stringMatching(says) }]);
  });
});
