/**
 * Signs an app token with Node's own crypto, in the claim shape of the official JavaScript SDK: what an application does that has no
 * library. Reads `{clientId, clientSecret, permissions, seconds}` from standard input, prints the token.
 */
import { createPrivateKey, sign } from 'node:crypto';
import { text } from 'node:stream/consumers';

const { clientId, clientSecret, permissions, seconds } = JSON.parse(await text(process.stdin));
const key = createPrivateKey({ key: Buffer.from(clientSecret, 'hex'), format: 'der', type: 'pkcs8' });
const iat = Math.floor(Date.now() / 1000);
const encode = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const claims = { type: 'app', clientId, permissions, iat, exp: iat + seconds };
const signed = `${encode({ alg: 'ES512', typ: 'JWT' })}.${encode(claims)}`;
const signature = sign('sha512', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' });
process.stdout.write(`${signed}.${signature.toString('base64url')}`);
