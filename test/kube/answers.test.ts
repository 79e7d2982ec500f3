import { describe, expect, test } from '@jest/globals';
import { errorOfAnswer, errorOfEvent, errorOfFailure, retryAfterMs } from '../../src/kube/answers.ts';
import type { CallName } from '../../src/kube/api.ts';
import { NoAnswer } from '../../src/kube/transport.ts';
import { refusal } from './serve.ts';

const where = { context: 'lab', server: 'https://10.0.0.1:6443' };
const attempt = { call: 'patchServiceStatus' as CallName, namespace: 'study', name: 'tomcat-service', where };

describe('what the server answered', () => {
  test.each<{ why: string; status: number; body: string | object; reason: string; says: string }>([
    {
      why: 'a conflict keeps the words of the server',
      status: 409,
      body: refusal(409, 'Conflict', 'the object has been modified'),
      reason: 'Conflict',
      says: 'patch services/status study/tomcat-service: the object has been modified',
    },
    {
      why: 'forbidden names the rule to grant',
      status: 403,
      body: refusal(403, 'Forbidden', 'User "x" cannot patch'),
      reason: 'Forbidden',
      says: 'grant it in a Role in study or a ClusterRole with the rule {apiGroups: [""], resources: ["services/status"], verbs: ["patch"]}',
    },
    {
      why: 'a namespace that is being deleted is no lack of rights',
      status: 403,
      body: { ...refusal(403, 'Forbidden', 'being terminated'), details: { causes: [{ reason: 'NamespaceTerminating' }] } },
      reason: 'NamespaceTerminating',
      says: 'patch services/status study/tomcat-service: being terminated',
    },
    {
      why: 'unauthorized names context and server',
      status: 401,
      body: refusal(401, 'Unauthorized', 'Unauthorized'),
      reason: 'Unauthorized',
      says: 'the API server https://10.0.0.1:6443 does not accept the credentials of context lab',
    },
    {
      why: 'a page of a proxy',
      status: 502,
      body: '<html>\n<b>Bad gateway</b>',
      reason: 'Unknown',
      says: '<html> <b>Bad gateway</b>',
    },
    {
      why: 'a server that is none of Kubernetes',
      status: 404,
      body: '',
      reason: 'NotFound',
      says: 'HTTP 404 of https://10.0.0.1:6443 (is that the API server of a cluster?)',
    },
    { why: 'nothing at all', status: 503, body: '', reason: 'ServiceUnavailable', says: 'HTTP 503' },
    { why: 'a code without a reason', status: 410, body: { kind: 'Status' }, reason: 'Expired', says: 'HTTP 410' },
  ])('$why', ({ status, body, reason, says }) => {
    const error = errorOfAnswer({ status, headers: {}, body: typeof body === 'string' ? body : JSON.stringify(body) }, attempt);
    expect(error).toMatchObject({ status, reason });
    expect(error.message).toContain(says);
  });

  test('in all namespaces the rule must be in a ClusterRole', () => {
    const error = errorOfAnswer(
      { status: 403, headers: {}, body: '' },
      { ...attempt, call: 'listLeases', namespace: '', name: '' },
    );
    expect(error.message).toContain(
      'in a ClusterRole with the rule {apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["list"]}',
    );
  });

  test('an ERROR event is what its status says', () => {
    expect(errorOfEvent(refusal(410, 'Expired', 'too old resource version'), attempt)).toMatchObject({
      status: 410,
      reason: 'Expired',
    });
    expect(errorOfEvent('garbage', attempt)).toMatchObject({ status: 500 });
  });
});

describe('no answer', () => {
  test.each<{ code: string; says: string }>([
    { code: 'ECONNREFUSED', says: 'connection refused' },
    { code: 'ENOTFOUND', says: 'the host name is unknown' },
    { code: 'CERT_HAS_EXPIRED', says: 'the certificate of the server has expired' },
    { code: 'SOMETHING_ELSE', says: 'words of the cause' },
  ])('$code', ({ code, says }) => {
    const cause = Object.assign(new Error('words of the cause'), { code });
    const error = errorOfFailure(new NoAnswer('no answer', { sent: false, cause }), attempt);
    expect(error).toMatchObject({ status: 0, reason: 'Unreachable' });
    expect(error.message).toContain('no answer from https://10.0.0.1:6443 (context lab)');
    expect(error.message).toContain(says);
  });

  test('too late is told from not at all', () => {
    const error = errorOfFailure(new NoAnswer('no answer within 5 ms', { sent: true, timedOut: true }), attempt);
    expect(error).toMatchObject({ status: 0, reason: 'Timeout', message: expect.stringContaining('no answer within 5 ms') });
  });
});

test.each<{ header: string | undefined; ms: number | undefined }>([
  { header: '3', ms: 3000 },
  { header: '0', ms: 0 },
  { header: '-1', ms: 0 },
  { header: 'Thu, 01 Jan 1970 00:00:05 GMT', ms: 4000 },
  { header: 'soon', ms: undefined },
  { header: '', ms: undefined },
  { header: undefined, ms: undefined },
])('Retry-After $header', ({ header, ms }) => expect(retryAfterMs(header, 1000)).toBe(ms));
