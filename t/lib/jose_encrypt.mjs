// Encrypts with jose: [{alg, enc, jwk, plaintext, header}, …] of the file named second gives [token, …]. The first
// argument is the folder that jose is installed in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { CompactEncrypt, importJWK } = createRequire(`${folder}/`)('jose');

const tokens = [];
for (const { alg, enc, jwk, plaintext, header } of JSON.parse(readFileSync(file))) {
    const key = await importJWK(jwk, alg === 'dir' ? enc : alg);
    const bytes = new TextEncoder().encode(plaintext);
    tokens.push(await new CompactEncrypt(bytes).setProtectedHeader({ ...header, alg, enc }).encrypt(key));
}
console.log(JSON.stringify(tokens));
