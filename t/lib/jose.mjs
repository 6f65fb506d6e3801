// npm's jose: [{do, …}, …] of the file named second gives [result, …], or {error: CODE} in its place. The first argument
// is the folder that jose is installed in.
//   {do: generate, alg, crv}                       a private JWK
//   {do: sign, alg, jwk, header, claims}           a token
//   {do: verify, alg, jwk, token}                  {header, payload}
//   {do: encrypt, alg, enc, jwk, header, plaintext} a token
//   {do: decrypt, alg, enc, jwk, token}            {header, plaintext}
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const jose = createRequire(`${folder}/`)('jose');

const key_of = ({ alg, enc, jwk }) => jose.importJWK(jwk, alg === 'dir' ? enc : alg);

const actions = {
    async generate({ alg, crv }) {
        const made = await (/^(HS|A\d|dir)/.test(alg) ? jose.generateSecret : jose.generateKeyPair)(alg, { crv, extractable: true });
        return jose.exportJWK(made.privateKey ?? made);
    },
    async sign({ alg, header, claims, ...rest }) {
        return new jose.SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(await key_of({ alg, ...rest }));
    },
    async verify({ alg, token, ...rest }) {
        const { payload, protectedHeader } = await jose.jwtVerify(token, await key_of({ alg, ...rest }), { algorithms: [alg] });
        return { header: protectedHeader, payload };
    },
    async encrypt({ alg, enc, header, plaintext, ...rest }) {
        const bytes = new TextEncoder().encode(plaintext);
        return new jose.CompactEncrypt(bytes).setProtectedHeader({ ...header, alg, enc }).encrypt(await key_of({ alg, enc, ...rest }));
    },
    async decrypt({ token, ...rest }) {
        const { plaintext, protectedHeader } = await jose.compactDecrypt(token, await key_of(rest));
        return { header: protectedHeader, plaintext: new TextDecoder().decode(plaintext) };
    },
};

const results = [];
for (const request of JSON.parse(readFileSync(file))) {
    try {
        results.push(await actions[request.do](request));
    } catch (error) {
        if (!(error instanceof jose.errors.JOSEError)) throw error;
        results.push({ error: error.code });
    }
}
console.log(JSON.stringify(results));
