import { at } from '../../kube/objects.ts';
import { type Answer, json } from './answers.ts';
import { type ApiRequest, parseBody } from './request.ts';

const GROUP = '/apis/authorization.k8s.io/v1/';

/** Everybody may do everything here, and is told so. @returns undefined when the path is no review */
export async function review(request: ApiRequest): Promise<Answer | undefined> {
  if (request.method !== 'POST') return undefined;
  const name = request.path.startsWith(GROUP) ? request.path.slice(GROUP.length) : request.path;
  const apiVersion = 'authorization.k8s.io/v1';
  if (name === 'selfsubjectaccessreviews') {
    const spec = at(await parseBody(request), 'spec') ?? {};
    return json(201, { kind: 'SelfSubjectAccessReview', apiVersion, metadata: {}, spec, status: { allowed: true } });
  }
  if (name === 'selfsubjectrulesreviews') {
    const resourceRules = [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }];
    const status = { resourceRules, nonResourceRules: [{ verbs: ['*'], nonResourceURLs: ['*'] }], incomplete: false };
    return json(201, { kind: 'SelfSubjectRulesReview', apiVersion, metadata: {}, spec: {}, status });
  }
  if (name !== '/apis/authentication.k8s.io/v1/selfsubjectreviews') return undefined;
  const userInfo = { username: 'sandbox', groups: ['system:masters', 'system:authenticated'] };
  return json(201, { kind: 'SelfSubjectReview', apiVersion: 'authentication.k8s.io/v1', metadata: {}, status: { userInfo } });
}
