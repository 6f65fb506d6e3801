// An OpenID provider of npm's oidc-provider, with a user who always agrees. Arguments: the folder that it is installed
// in, and a file with {keys, clients, resources}: private JWKs, clients as oidc-provider takes them, and for each
// resource, by its URI, how its access tokens are made. Prints a line of JSON: {issuer}. Then each line that is read is
// answered with one, and the end of the input ends it:
//   {"client": ID, "resource": URI}                a token of client_credentials
//   {"client": ID, "resource": URI, "user": NAME}  those of an authorization code that the user agreed to
//   {"keys": [JWK, …]}                             these keys from now on
import { createHash, createPublicKey, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

for (const name of ['info', 'warn']) console[name] = () => {};  // it warns of what is meant for tests
const [folder, file] = process.argv.slice(2);
const { default: Provider } = await import(pathToFileURL(`${folder}/node_modules/oidc-provider/lib/index.js`));
const { keys, clients, resources } = JSON.parse(readFileSync(file));
for (const { encrypt } of Object.values(resources)) {
    if (encrypt) encrypt.key = createPublicKey({ key: encrypt.key, format: 'jwk' });
}

const server = createServer();
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
const callback = 'https://client.example/callback';

function provider_with(jwks) {
    const provider = new Provider(issuer, {
        jwks: { keys: jwks },
        clients: clients.map((client) => ({ redirect_uris: [callback], ...client })),
        cookies: { keys: ['a key of the tests'] },
        scopes: ['openid'],
        findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub, email: `${sub}@example.org` }) }),
        interactions: { url: (_, { uid }) => `/interaction/${uid}` },
        ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 600, Session: 600, Grant: 600, Interaction: 600 },
        features: {
            devInteractions: { enabled: false },
            clientCredentials: { enabled: true },
            resourceIndicators: {
                enabled: true,
                useGrantedResource: () => true,
                getResourceServerInfo: (_, resource) => ({
                    scope: 'orders:read orders:write', audience: resource, accessTokenFormat: 'jwt', jwt: resources[resource],
                }),
            },
        },
    });
    const handler = provider.callback();
    return async (request, response) => {
        if (!request.url.startsWith('/interaction/')) return handler(request, response);
        const { params } = await provider.interactionDetails(request, response);
        const grant = new provider.Grant({ accountId: params.login_hint, clientId: params.client_id });
        grant.addOIDCScope('openid');
        grant.addResourceScope(params.resource, params.scope);
        const result = { login: { accountId: params.login_hint }, consent: { grantId: await grant.save() } };
        return provider.interactionFinished(request, response, result);
    };
}

let serve = provider_with(keys);
server.on('request', (request, response) => serve(request, response));

async function token({ client, ...form }) {
    const { client_id, client_secret } = clients.find((one) => one.client_id === client);
    const answer = await fetch(`${issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}` },
        body: new URLSearchParams(form),
    });
    return answer.json();
}

async function login({ client, resource, user }) {
    const verifier = randomBytes(32).toString('base64url');
    const query = new URLSearchParams({
        client_id: client, response_type: 'code', redirect_uri: callback, resource, login_hint: user, scope: 'openid orders:read',
        code_challenge: createHash('sha256').update(verifier).digest('base64url'), code_challenge_method: 'S256',
    });
    const cookies = new Map();
    let url = `${issuer}/auth?${query}`;
    while (!url.startsWith(callback)) {
        const answer = await fetch(url, {
            redirect: 'manual', headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') },
        });
        for (const line of answer.headers.getSetCookie()) cookies.set(...line.split(';')[0].split(/=(.*)/s));
        if (!answer.headers.has('location')) throw new Error(await answer.text());
        url = new URL(answer.headers.get('location'), issuer).href;
    }
    const code = new URL(url).searchParams.get('code');
    return token({ client, grant_type: 'authorization_code', code, redirect_uri: callback, code_verifier: verifier, resource });
}

async function answer(command) {
    if (command.keys) {
        serve = provider_with(command.keys);
        return {};
    }
    return command.user ? login(command) : token({ ...command, grant_type: 'client_credentials', scope: 'orders:read' });
}

process.stdout.write(`${JSON.stringify({ issuer })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
    process.stdout.write(`${JSON.stringify(await answer(JSON.parse(line)))}\n`);
}
server.closeAllConnections();
server.close();
