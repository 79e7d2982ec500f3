import type { Client } from './client.ts';
import { API_SERVER, type Credentials, type Plane } from './control-plane.ts';

/** The API server said no. */
export class ApiRefusal extends Error {
  override readonly name = 'ApiRefusal';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Plain calls to the lab's API server as one of its users, without kubectl's quarter of a second for each. */
export class Api {
  readonly #client: Client;
  readonly #plane: Plane;
  readonly #as: Credentials;

  constructor(client: Client, plane: Plane, as: Credentials) {
    this.#client = client;
    this.#plane = plane;
    this.#as = as;
  }

  get<T>(path: string): Promise<T> {
    return this.#call('GET', path);
  }

  create<T>(path: string, body: object): Promise<T> {
    return this.#call('POST', path, body);
  }

  /** JSON merge patch. */
  patch<T>(path: string, body: object): Promise<T> {
    return this.#call('PATCH', path, body, 'application/merge-patch+json');
  }

  delete<T>(path: string, body: object = {}): Promise<T> {
    return this.#call('DELETE', path, body);
  }

  /** Undefined when there is no such object. */
  async find<T>(path: string): Promise<T | undefined> {
    try {
      return await this.get<T>(path);
    } catch (error) {
      if (error instanceof ApiRefusal && error.status === 404) return undefined;
      throw error;
    }
  }

  async #call<T>(method: string, path: string, body?: object, type = 'application/json'): Promise<T> {
    const answer = await this.#client.request({
      url: `${API_SERVER}${path}`,
      method,
      headers: {
        authorization: `Bearer ${this.#as.token}`,
        'user-agent': `${this.#as.user}/lab`, // what managedFields will call us

        accept: 'application/json',
        ...(body ? { 'content-type': type } : {}),
      },
      ...(body ? { body: JSON.stringify(body) } : {}),
      caFile: this.#plane.certificate,
      timeoutMs: 15_000,
    });
    if (answer.status >= 300)
      throw new ApiRefusal(answer.status, `${method} ${path}: ${answer.status} ${answer.body.slice(0, 500)}`);
    return (answer.headers['content-type']?.startsWith('application/json') ? JSON.parse(answer.body) : answer.body) as T;
  }
}
