import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { DerCertificate, DerCsr } from '@keystead/core/bytes';
import { toBase64 } from '@keystead/core/bytes';
import {
  cmpMessage,
  defaultPasswordMac,
  directoryName,
  generalBody,
  headerDer,
  p10crBody,
  passwordMacDer,
  requestBody,
} from '@keystead/core/cmp';
import type { Signer } from '@keystead/core/crypto';
import { readCertificate, signatureAlgorithmDer } from '@keystead/core/x509';
import { crmf, oldCertId } from '../../serve/tests/cmp-speaker.ts';
import { csrFor, type HostileFrontEnd, KeydBed, makeKey, type TestKey } from './bed.ts';

let bed: KeydBed;
let front: HostileFrontEnd;
const key = makeKey();
let idevid: DerCertificate;
before(async () => {
  bed = await KeydBed.make({ deviceProof: 'message' });
  idevid = (await bed.provision('KS-0001', await bed.ticket(), key)).certificate;
  front = await bed.hostile();
});
after(async () => {
  front?.end();
  await bed?.remove();
});

const signed = (
  body: Uint8Array,
  signer: Signer = key.signer,
  more: { time?: Date | 'none'; certificate?: DerCertificate } = {},
) =>
  cmpMessage({
    header: headerDer({
      version: 2,
      sender: directoryName(readCertificate(more.certificate ?? idevid).subjectDer),
      recipient: directoryName(),
      messageTime: more.time === 'none' ? undefined : (more.time ?? bed.clock.now()),
      protectionAlg: signatureAlgorithmDer(signer.signatureAlgorithm),
      generalInfo: [],
    }),
    body,
    protect: (octets) => signer.sign(octets),
  });

/** What keyd says to a front end that asks for an LDevID of KS-0001. */
async function ask(v: {
  request: Uint8Array;
  format?: string;
  message?: Uint8Array;
  certificate?: Uint8Array;
}): Promise<string> {
  const { request, format, message, certificate = idevid } = v;
  const before = (await bed.client.status()).certificates;
  const answer = await front.ask('issue', {
    profile: 'ldevid',
    csr: toBase64(request),
    ...(format === undefined ? {} : { format }),
    requester: {
      kind: 'device',
      id: 'KS-0001',
      certificate: toBase64(certificate),
      ...(message === undefined ? {} : { message: toBase64(message) }),
    },
    requestId: 'hostile',
  });
  const code = answer.error?.code ?? 'issued';
  assert.equal((await bed.client.status()).certificates, before + (code === 'issued' ? 1 : 0));
  return code;
}
const request = (of: TestKey = makeKey()): Promise<Uint8Array> => crmf({ name: 'KS-0001', key: of });

test('keyd certifies a device for the very request that the device signed, in CRMF and in PKCS#10', async () => {
  const own = await request();
  assert.equal(await ask({ request: own, format: 'crmf', message: await signed(requestBody('ir', own)) }), 'issued');
  const csr = (await csrFor('KS-0001')) as DerCsr;
  assert.equal(await ask({ request: csr, message: await signed(p10crBody(csr)) }), 'issued');
});

test('a front end that has only seen a certificate gets nothing: no message, another request, another signer, a MAC, another kind', async () => {
  const [mine, honest] = [await request(), await request()];
  const message = await signed(requestBody('ir', honest));
  assert.equal(await ask({ request: mine, format: 'crmf' }), 'requester.message-missing');
  assert.equal(await ask({ request: mine, format: 'crmf', message }), 'requester.unproven');
  assert.equal(await ask({ request: honest, format: 'pkcs10', message }), 'requester.unproven');
  const forged = await signed(requestBody('ir', mine), makeKey().signer);
  assert.equal(await ask({ request: mine, format: 'crmf', message: forged }), 'requester.unproven');
  const flipped = Uint8Array.from(message);
  flipped[flipped.length - 5] = (flipped.at(-5) ?? 0) ^ 1;
  assert.equal(await ask({ request: honest, format: 'crmf', message: flipped }), 'requester.unproven');
  const general = await signed(generalBody('genm', []));
  assert.equal(await ask({ request: mine, format: 'crmf', message: general }), 'requester.unproven');
  const header = headerDer({
    version: 2,
    sender: directoryName(),
    recipient: directoryName(),
    protectionAlg: passwordMacDer(defaultPasswordMac()),
    generalInfo: [],
  });
  const maced = await cmpMessage({ header, body: requestBody('ir', mine), protect: async () => new Uint8Array(32) });
  assert.equal(await ask({ request: mine, format: 'crmf', message: maced }), 'requester.unproven');
  assert.equal(await ask({ request: mine, format: 'crmf', message: new Uint8Array(40) }), 'requester.unproven');
});

test('an old message, the certificate of another device, and a proof of possession that is not there', async () => {
  const own = await request();
  const old = await signed(requestBody('ir', own), key.signer, { time: new Date(bed.clock.now().getTime() - 700_000) });
  assert.equal(await ask({ request: own, format: 'crmf', message: old }), 'cmp.time-refused');
  const timeless = await signed(requestBody('ir', own), key.signer, { time: 'none' });
  assert.equal(await ask({ request: own, format: 'crmf', message: timeless }), 'requester.unproven');
  const otherKey = makeKey();
  const other = (await bed.provision('KS-0002', await bed.ticket(), otherKey)).certificate;
  const foreign = await signed(requestBody('ir', own), otherKey.signer, { certificate: other });
  assert.equal(await ask({ request: own, format: 'crmf', message: foreign, certificate: other }), 'requester.unproven');
  assert.equal(await ask({ request: own, format: 'crmf', message: foreign }), 'requester.unproven');
  for (const [wish, code] of [
    [{ popo: 'none' }, 'cmp.pop-refused'],
    [{ popo: Uint8Array.of(0x80, 0x00) }, 'cmp.pop-refused'],
    [{ signer: makeKey().signer }, 'csr.signature-invalid'],
  ] as const) {
    const unproven = await crmf({ name: 'KS-0001', key: makeKey(), ...wish });
    const message = await signed(requestBody('ir', unproven));
    assert.equal(await ask({ request: unproven, format: 'crmf', message }), code);
  }
});

test('a key update is signed with the certificate that it names', async () => {
  const ldevidKey = makeKey();
  const own = await request(ldevidKey);
  const message = await signed(requestBody('ir', own));
  const answer = await bed.client.issue({
    profile: 'ldevid',
    csr: own,
    format: 'crmf',
    requester: { kind: 'device', id: 'KS-0001', certificate: idevid, message },
    requestId: 'first',
  });
  const by = { certificate: answer.certificate };
  for (const [old, code] of [
    [idevid, 'cmp.old-certificate'],
    [answer.certificate, 'issued'],
  ] as const) {
    const update = await crmf({ name: 'KS-0001', key: makeKey(), controls: [oldCertId(old)] });
    const kur = await signed(requestBody('kur', update), ldevidKey.signer, by);
    assert.equal(await ask({ request: update, format: 'crmf', message: kur, certificate: answer.certificate }), code);
  }
});

test('the signer of answers is for the front end alone, and a fixed subject opens nothing else', async () => {
  const csr = toBase64(await csrFor('Keystead CMP registration authority'));
  const issue = async (profile: string, requester: Record<string, unknown>, more: Record<string, unknown> = {}) =>
    (await front.ask('issue', { profile, csr, requester, requestId: 'ra', ...more })).error?.code ?? 'issued';
  assert.equal(await issue('cmp-ra', { kind: 'system', id: 'serve' }), 'issued');
  assert.equal(
    await issue('cmp-ra', { kind: 'device', id: 'KS-0001', certificate: toBase64(idevid) }),
    'profile.requester-forbidden',
  );
  assert.equal(await issue('cmp-ra', { kind: 'system', id: 'serve' }, { hosts: ['a.example'] }), 'request.malformed');
  assert.equal(await issue('cmp-ra', { kind: 'system', id: 'serve', message: csr }), 'request.malformed');
  assert.equal(await issue('evidence-signer', { kind: 'system', id: 'serve' }), 'profile.not-requestable');
  assert.equal(await issue('ocsp-responder', { kind: 'system', id: 'serve' }), 'profile.not-requestable');
});
