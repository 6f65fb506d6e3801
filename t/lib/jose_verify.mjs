// Verifies with jose: [{alg, jwk, token}, …] of the file named second gives [{header, payload} or {error}, …]. The
// first argument is the folder that jose is installed in.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, file] = process.argv.slice(2);
const { errors, importJWK, jwtVerify } = createRequire(`${folder}/`)('jose');

async function verdict({ alg, jwk, token }) {
    try {
        const { payload, protectedHeader } = await jwtVerify(token, await importJWK(jwk, alg), { algorithms: [alg] });
        return { header: protectedHeader, payload };
    } catch (error) {
        if (!(error instanceof errors.JOSEError)) throw error;
        return { error: error.code };
    }
}

const verdicts = [];
for (const request of JSON.parse(readFileSync(file))) verdicts.push(await verdict(request));
console.log(JSON.stringify(verdicts));
