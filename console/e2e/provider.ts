// A provider of logins that speaks OpenID Connect and believes everybody: who comes next is whom the test says.

import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto';
import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });

export class Provider {
  /** The subject of whoever logs in next. */
  user = 'demo';
  /** His groups. */
  groups: string[] = [];
  readonly #codes = new Map<string, { user: string; nonce: string }>();

  private constructor(private readonly server: Server) {}

  static async start(): Promise<Provider> {
    const server = createServer((request, response) => void provider.#answer(request, response));
    const provider = new Provider(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return provider;
  }

  get issuer(): string {
    const address = this.server.address();
    if (typeof address !== 'object' || address === null) throw new Error('the provider is stopped');
    return `http://127.0.0.1:${address.port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.issuer);
    switch (url.pathname) {
      case '/.well-known/openid-configuration':
        return json(response, this.#metadata());
      case '/jwks':
        return json(response, {
          keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'one', alg: 'RS256', use: 'sig' }],
        });
      case '/authorize':
        return this.#authorize(url, response);
      case '/token':
        return json(response, this.#token(await form(request)));
      default:
        response.writeHead(404).end();
    }
  }

  #metadata(): object {
    return {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/authorize`,
      token_endpoint: `${this.issuer}/token`,
      jwks_uri: `${this.issuer}/jwks`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'none'],
    };
  }

  #authorize(url: URL, response: ServerResponse): void {
    const code = randomBytes(16).toString('hex');
    this.#codes.set(code, { user: this.user, nonce: url.searchParams.get('nonce') ?? '' });
    const back = new URL(url.searchParams.get('redirect_uri') ?? this.issuer);
    back.searchParams.set('code', code);
    back.searchParams.set('state', url.searchParams.get('state') ?? '');
    response.writeHead(302, { location: back.href }).end();
  }

  #token(asked: URLSearchParams): object {
    const code = asked.get('code') ?? '';
    const known = this.#codes.get(code);
    if (!known) return { error: 'invalid_grant' };
    this.#codes.delete(code);
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: this.issuer,
      aud: 'chat',
      sub: known.user,
      groups: this.groups,
      nonce: known.nonce,
      iat: now,
      exp: now + 600,
    };
    return {
      access_token: randomBytes(16).toString('hex'),
      token_type: 'Bearer',
      expires_in: 600,
      id_token: sign(claims),
    };
  }
}

function sign(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const text = `${part({ alg: 'RS256', typ: 'JWT', kid: 'one' })}.${part(claims)}`;
  return `${text}.${createSign('RSA-SHA256').update(text).sign(privateKey).toString('base64url')}`;
}

function json(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function form(request: IncomingMessage): Promise<URLSearchParams> {
  let body = '';
  for await (const chunk of request) body += String(chunk);
  return new URLSearchParams(body);
}
