// Decrypts with jose: [{alg, enc, jwk, token}, …] of the file named second gives [{header, plaintext} or {error}, …].
// The first argument is the folder that jose is installed in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { compactDecrypt, errors, importJWK } = createRequire(`${folder}/`)('jose');

async function verdict({ alg, enc, jwk, token }) {
    try {
        const { plaintext, protectedHeader } = await compactDecrypt(token, await importJWK(jwk, alg === 'dir' ? enc : alg));
        return { header: protectedHeader, plaintext: new TextDecoder().decode(plaintext) };
    } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
        return { error: error.code };
    }
}

const verdicts = [];
for (const request of JSON.parse(readFileSync(file))) verdicts.push(await verdict(request));
console.log(JSON.stringify(verdicts));
