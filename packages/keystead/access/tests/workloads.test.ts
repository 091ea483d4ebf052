import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHmac, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { SimulatedClock } from '@keystead/core/clock';
import { type WorkloadIssuer, WorkloadIssuerSchema } from '../../files/workload-settings.ts';
import { Workloads } from '../workloads.ts';

/* The issuer of these tests is written here, over HTTP on loopback, with keys that openssl made. */

const folder = mkdtempSync(join(tmpdir(), 'keystead-workloads-'));
const AUDIENCE = 'https://keystead.example';
const START = new Date('2026-11-28T12:00:00Z');

function opensslKey(name: string, ...options: string[]): KeyObject {
  const path = join(folder, `${name}.pem`);
  execFileSync('openssl', ['genpkey', ...options, '-out', path], { stdio: 'ignore' });
  return createPrivateKey({ key: execFileSync('openssl', ['pkey', '-in', path]), format: 'pem' });
}

const ec = opensslKey('ec', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256');
const rsa = opensslKey('rsa', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048');
const other = opensslKey('other', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256');

const jwk = (key: KeyObject, kid: string) => ({ ...createPublicKey(key).export({ format: 'jwk' }), kid, use: 'sig' });
const base64 = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as an issuer makes it (RFC 7515 section 3.1). */
function token(claims: object, head: { alg?: string; kid?: string } = {}, key: KeyObject = ec): string {
  const { alg = 'ES256', kid = 'ec-1' } = head;
  const input = `${base64({ typ: 'JWT', alg, kid })}.${base64(claims)}`;
  const signature =
    key.asymmetricKeyType === 'ec'
      ? sign('sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' })
      : sign('sha256', Buffer.from(input), key);
  return `${input}.${signature.toString('base64url')}`;
}

let keys: object[] = [];
let body: string | undefined;
let asked = 0;
const server = createServer((_request, response) => {
  asked += 1;
  response.end(body ?? JSON.stringify({ keys }));
});
let issuer = '';
let clock: SimulatedClock;
let workloads: Workloads;
before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
after(() => {
  server.closeAllConnections();
  server.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  keys = [jwk(ec, 'ec-1'), jwk(rsa, 'rsa-1')];
  body = undefined;
  asked = 0;
  clock = new SimulatedClock(START);
  workloads = new Workloads([settings()], clock);
});

const settings = (more: Partial<WorkloadIssuer> = {}): WorkloadIssuer =>
  WorkloadIssuerSchema.parse({
    ...{ issuer, audience: AUDIENCE, jwksUrl: `${issuer}/jwks` },
    grants: [{ claims: { repository: 'acme/pump', ref: 'refs/heads/main' }, products: ['KS-PUMP-1'] }],
    ...more,
  });

const seconds = (ms = 0): number => Math.floor((START.getTime() + ms) / 1000);
const claims = (more: object = {}): object => ({
  ...{ iss: issuer, aud: AUDIENCE, sub: 'repo:acme/pump:ref:refs/heads/main', iat: seconds(), exp: seconds(600_000) },
  ...{ repository: 'acme/pump', ref: 'refs/heads/main' },
  ...more,
});

test('a token of a believed issuer with the claims of a grant tells whose job it is and for which products', async () => {
  const workload = await workloads.identify(token(claims()));
  assert.deepEqual(workload.products, ['KS-PUMP-1']);
  assert.match(workload.id, /^127\.0\.0\.1:\d+\/repo:acme\/pump:ref:refs\/heads\/main$/);
  await workloads.identify(token(claims({ aud: ['another', AUDIENCE] }), { alg: 'RS256', kid: 'rsa-1' }, rsa));
  assert.equal(asked, 1, 'the keys are fetched once');
});

const REFUSED: readonly (readonly [what: string, field: string, make: () => string])[] = [
  ['another audience', 'aud', () => token(claims({ aud: 'https://elsewhere.example' }))],
  ['another issuer', 'iss', () => token(claims({ iss: 'https://elsewhere.example' }))],
  ['an issuer that is a number', 'iss', () => token(claims({ iss: 5 }))],
  ['a subject that is a number', 'sub', () => token(claims({ sub: 5 }))],
  ['no issuer', 'iss', () => token(claims({ iss: undefined }))],
  ['a token that has ended', 'exp', () => token(claims({ iat: seconds(-700_000), exp: seconds(-100_000) }))],
  ['a token of a time to come', 'nbf', () => token(claims({ nbf: seconds(100_000) }))],
  ['a token that was made in a time to come', 'iat', () => token(claims({ iat: seconds(100_000) }))],
  ['a token without an end', 'exp', () => token(claims({ exp: undefined }))],
  ['a token that lives for a year', 'exp', () => token(claims({ exp: seconds(365 * 86_400_000) }))],
  ['a token of nobody', 'sub', () => token(claims({ sub: undefined }))],
  ['another repository', 'claims', () => token(claims({ repository: 'acme/lamp' }))],
  ['another branch', 'claims', () => token(claims({ ref: 'refs/heads/mine' }))],
  ['a claim that is a list', 'claims', () => token(claims({ ref: ['refs/heads/main'] }))],
  ['the signature of another key', 'token', () => token(claims(), {}, other)],
  ['a key that the issuer does not have', 'token', () => token(claims(), { kid: 'nobody' }, other)],
  ['no signature', 'token', () => `${base64({ alg: 'none' })}.${base64(claims())}.`],
  [
    'the public key as a shared secret',
    'token',
    () => {
      const input = `${base64({ alg: 'HS256', kid: 'ec-1' })}.${base64(claims())}`;
      const secret = createPublicKey(ec).export({ format: 'pem', type: 'spki' });
      return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
    },
  ],
  ['no token', 'token', () => 'abc'],
  ['a token that is too long', 'token', () => 'a'.repeat(20_000)],
  [
    'a content that was changed',
    'token',
    () => {
      const [head, , signature] = token(claims()).split('.');
      return `${head}.${base64(claims({ sub: 'somebody else' }))}.${signature}`;
    },
  ],
];
for (const [what, field, make] of REFUSED) {
  test(`${what} is refused, and the field is named`, async () => {
    await assert.rejects(workloads.identify(make()), { code: 'signing.workload', field });
  });
}

test('a key that the issuer changed to is fetched, but not more often than twice a minute', async () => {
  await workloads.identify(token(claims()));
  keys = [jwk(other, 'ec-2')];
  const renewed = token(claims(), { kid: 'ec-2' }, other);
  await assert.rejects(workloads.identify(renewed), { field: 'token' });
  assert.equal(asked, 1);
  clock.advance(31);
  await workloads.identify(renewed);
  await assert.rejects(workloads.identify(token(claims(), { kid: 'nobody' }, other)), { field: 'token' });
  assert.equal(asked, 2);
});

test('key sets that are too large, no JSON, no key sets, or not there are told as something to try again', async () => {
  for (const text of ['{"keys":[', '{"keys":5}', ' '.repeat(300_000)]) {
    body = text;
    await assert.rejects(new Workloads([settings()], clock).identify(token(claims())), { code: 'service.unreachable' });
  }
  const nowhere = new Workloads([settings({ jwksUrl: 'http://127.0.0.1:1/jwks' })], clock);
  await assert.rejects(nowhere.identify(token(claims())), { code: 'service.unreachable' });
});

test('keys from a file work without a network', async () => {
  writeFileSync(join(folder, 'jwks.json'), JSON.stringify({ keys }));
  const { jwksUrl: _, ...rest } = settings();
  const local = WorkloadIssuerSchema.parse({ ...rest, jwksFile: 'jwks.json' });
  await new Workloads([local], clock, folder).identify(token(claims()));
  assert.equal(asked, 0);
});

test('a configuration that would believe too much is refused', () => {
  const { jwksUrl, ...rest } = settings();
  for (const wrong of [
    rest,
    { ...rest, jwksUrl, jwksFile: 'jwks.json' },
    { ...rest, jwksUrl: 'http://issuer.example/jwks' },
    { ...rest, jwksUrl: 'file:///etc/passwd' },
    { ...rest, jwksUrl, grants: [{ claims: {}, products: ['KS-PUMP-1'] }] },
    { ...rest, jwksUrl, grants: [] },
  ])
    assert.equal(WorkloadIssuerSchema.safeParse(wrong).success, false, JSON.stringify(wrong));
});
