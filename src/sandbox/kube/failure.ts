import type { JsonMap } from './json.ts';

/** One field's fault, as metav1.StatusCause has it. */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  readonly field?: string;
}

/** An answer other than success: becomes a metav1.Status with the given HTTP status. */
export class ApiFailure extends Error {
  override readonly name = 'ApiFailure';
  readonly code: number;
  readonly reason: string;
  readonly details: JsonMap;
  /** Seconds for the Retry-After header. */
  readonly retryAfterSeconds?: number;
  /** `continue` token with which a list may go on at a later revision. */
  readonly next?: string;

  constructor(
    code: number,
    reason: string,
    message: string,
    details: JsonMap = {},
    extra: { retryAfterSeconds?: number; next?: string } = {},
  ) {
    super(message);
    this.code = code;
    this.reason = reason;
    this.details = details;
    if (extra.retryAfterSeconds !== undefined) this.retryAfterSeconds = extra.retryAfterSeconds;
    if (extra.next !== undefined) this.next = extra.next;
  }

  /** @see https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
  toStatus(): JsonMap {
    return {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: this.next === undefined ? {} : { continue: this.next },
      status: 'Failure',
      message: this.message,
      reason: this.reason,
      ...(Object.keys(this.details).length > 0 ? { details: this.details } : {}),
      code: this.code,
    };
  }
}

/** The group and plural of a resource, or the group and kind: what error texts name. */
export interface Named {
  readonly group: string;
  readonly resource: string;
  readonly kind: string;
}

function qualified(name: string, group: string): string {
  return group === '' ? name : `${name}.${group}`;
}

function about(type: Named, name: string, kind: string): JsonMap {
  return { ...(name ? { name } : {}), ...(type.group ? { group: type.group } : {}), ...(kind ? { kind } : {}) };
}

export function notFound(type: Named, name: string): ApiFailure {
  const message = `${qualified(type.resource, type.group)} ${JSON.stringify(name)} not found`;
  return new ApiFailure(404, 'NotFound', message, about(type, name, type.resource));
}

export function noSuchPath(): ApiFailure {
  return new ApiFailure(404, 'NotFound', 'the server could not find the requested resource');
}

export function alreadyExists(type: Named, name: string): ApiFailure {
  const message = `${qualified(type.resource, type.group)} ${JSON.stringify(name)} already exists`;
  return new ApiFailure(409, 'AlreadyExists', message, about(type, name, type.resource));
}

export function conflict(type: Named, name: string, why: string): ApiFailure {
  const message = `Operation cannot be fulfilled on ${qualified(type.resource, type.group)} ${JSON.stringify(name)}: ${why}`;
  return new ApiFailure(409, 'Conflict', message, about(type, name, type.resource));
}

export function staleWrite(type: Named, name: string): ApiFailure {
  return conflict(type, name, 'the object has been modified; please apply your changes to the latest version and try again');
}

export function badRequest(message: string): ApiFailure {
  return new ApiFailure(400, 'BadRequest', message);
}

export function forbidden(type: Named, name: string, why: string, causes: readonly Cause[] = []): ApiFailure {
  const message = `${qualified(type.resource, type.group)} ${JSON.stringify(name)} is forbidden: ${why}`;
  return new ApiFailure(403, 'Forbidden', message, withCauses(about(type, name, type.resource), causes));
}

export function invalid(type: Named, name: string, causes: readonly Cause[]): ApiFailure {
  const texts = [...new Set(causes.map((cause) => `${cause.field}: ${cause.message}`))];
  const all = texts.length === 1 ? texts[0] : `[${texts.join(', ')}]`;
  const message = `${qualified(type.kind, type.group)} ${JSON.stringify(name)} is invalid: ${all}`;
  return new ApiFailure(422, 'Invalid', message, withCauses(about(type, name, type.kind), causes));
}

export function expired(message: string, next?: string): ApiFailure {
  return new ApiFailure(410, 'Expired', message, {}, next === undefined ? {} : { next });
}

export function internal(message: string): ApiFailure {
  return new ApiFailure(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] });
}

function withCauses(details: JsonMap, causes: readonly Cause[]): JsonMap {
  return causes.length === 0 ? details : { ...details, causes: causes.map((cause) => ({ ...cause })) };
}

export function requiredField(field: string, detail = ''): Cause {
  return { reason: 'FieldValueRequired', message: detail ? `Required value: ${detail}` : 'Required value', field };
}

export function invalidField(field: string, value: unknown, detail: string): Cause {
  return { reason: 'FieldValueInvalid', message: `Invalid value: ${show(value)}: ${detail}`, field };
}

export function forbiddenField(field: string, detail: string): Cause {
  return { reason: 'FieldValueForbidden', message: `Forbidden: ${detail}`, field };
}

export function duplicateField(field: string, value: unknown): Cause {
  return { reason: 'FieldValueDuplicate', message: `Duplicate value: ${show(value)}`, field };
}

export function unsupportedField(field: string, value: unknown, allowed: readonly string[]): Cause {
  const choices = allowed.map((choice) => JSON.stringify(choice)).join(', ');
  return { reason: 'FieldValueNotSupported', message: `Unsupported value: ${show(value)}: supported values: ${choices}`, field };
}

function show(value: unknown): string {
  return value === undefined ? 'null' : JSON.stringify(value);
}
