// A certified OpenID provider (npm oidc-provider) on loopback, for logins that are real but ask nobody anything.
//
//   browser --/auth?login_hint=ID--> logged in as ID at once --code--> gateway --/token--> ID token, signed by the newest key
//   test    --POST /control/rotate--> a new key signs from now on, the old one is forgotten
//
// Reads OIDC_HOME (the directory that holds node_modules) and OIDC_REDIRECTS (addresses to come back to, separated by
// spaces). Prints `listening on http://127.0.0.1:PORT`. Without a login_hint the page asks for a name; `nobody` says no.

import { createRequire } from 'node:module';
import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const { OIDC_HOME, OIDC_REDIRECTS = '' } = process.env;
if (!OIDC_HOME) {
  console.error('OIDC_HOME must be set');
  process.exit(1);
}
const entry = createRequire(pathToFileURL(`${OIDC_HOME}/`)).resolve('oidc-provider');
const { Provider } = await import(pathToFileURL(entry));

// It warns of what is only fit for development; this is nothing else.
console.warn = () => {};
console.info = () => {};

const CLIENT_ID = 'lychgate';
// One for all keys, so that a login that is under way survives a rotation.
const COOKIE_KEY = randomUUID();
const CLIENT_SECRET = 'a secret between the gateway and its provider';

const redirects = OIDC_REDIRECTS.split(' ').filter(Boolean);
let issuer;
let current;

function key() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

/** Everything about a user comes from his id, so that a test can ask for whomever it needs. */
const claimsOf = (id) => ({
  sub: id,
  email: `${id.replace(/[^a-z0-9]/gi, '.')}@example.org`,
  email_verified: !id.startsWith('unverified'),
  plan: id.startsWith('gold') ? 'gold' : undefined,
  groups: id.startsWith('operator') ? ['operators'] : [],
});

/** Codes and sessions live in the provider's own memory, so that a new key begins a new one. */
function provider(jwk) {
  const made = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT_ID,
        client_secret: CLIENT_SECRET,
        redirect_uris: redirects,
        response_types: ['code'],
        grant_types: ['authorization_code'],
      },
    ],
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['plan', 'groups'] },
    cookies: { keys: [COOKIE_KEY] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_, id) => ({ accountId: id, claims: () => claimsOf(id) }),
    // The email stands in the ID token, plan and groups are told at the userinfo endpoint alone.
    conformIdTokenClaims: true,
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    jwks: { keys: [jwk] },
    pkce: { required: () => true },
    ttl: { AccessToken: 60, AuthorizationCode: 60, IdToken: 300, Interaction: 300, Session: 300, Grant: 300 },
  });
  return { made, callback: made.callback() };
}

async function interact(request, response) {
  const { made } = current;
  const details = await made.interactionDetails(request, response);
  const hint = details.params.login_hint ?? new URL(request.url, issuer).searchParams.get('name');
  if (details.prompt.name === 'login' && !hint) {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end('<!doctype html><title>Provider</title><form><input name="name" autofocus><button>Log in</button></form>');
    return;
  }
  if (hint === 'nobody') {
    await made.interactionFinished(request, response, { error: 'access_denied', error_description: 'the user said no' });
    return;
  }
  const accountId = details.session?.accountId ?? hint;
  if (details.prompt.name === 'login') {
    await made.interactionFinished(request, response, { login: { accountId } });
    return;
  }
  const grant = new made.Grant({ accountId, clientId: details.params.client_id });
  grant.addOIDCScope(details.params.scope);
  await made.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

const server = createServer(async (request, response) => {
  try {
    if (request.url === '/control/rotate') {
      current = provider(key());
      response.writeHead(204).end();
    } else if (request.url.startsWith('/interaction/')) {
      await interact(request, response);
    } else {
      current.callback(request, response);
    }
  } catch (reason) {
    response.writeHead(500, { 'content-type': 'text/plain' }).end(`${reason.stack}\n`);
  }
});
server.listen(0, '127.0.0.1', () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  current = provider(key());
  console.log(`listening on ${issuer}`);
});
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
