// Signs with jose: [{alg, jwk, header, claims}, …] of the file named second gives [token, …]. The first argument is
// the folder that jose is installed in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { SignJWT, importJWK } = createRequire(`${folder}/`)('jose');

const tokens = [];
for (const { alg, jwk, header, claims } of JSON.parse(readFileSync(file))) {
    const key = await importJWK(jwk, alg);
    tokens.push(await new SignJWT(claims).setProtectedHeader({ ...header, alg }).sign(key));
}
console.log(JSON.stringify(tokens));
