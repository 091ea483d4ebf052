import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { toHex, toPem } from '@keystead/core/bytes';
import { SecretBytes, sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { activateCredential, makeCredential } from '../attest/credential.ts';
import { certify, quote, type SignedStatement, verifyCertify, verifyQuote } from '../attest/statement.ts';
import type { Channel } from '../channel.ts';
import { endorsementCertificates, withEndorsementKey } from '../objects/endorsement.ts';
import { create, flushing, type Loaded, load, type ObjectBlob } from '../objects/object.ts';
import { extendPcr, readPcrs } from '../objects/pcrs.ts';
import { withStorageRoot } from '../objects/storage-root.ts';
import { attestationTemplate, ENDORSEMENT_KINDS, signingTemplate } from '../objects/templates.ts';
import type { Tpm } from '../tpm.ts';
import { decodePublic, type EccPublic, encodePublic, type KeyPublic, nameOf, spkiOf } from '../wire/public.ts';
import { decodeSignature } from '../wire/signature.ts';
import { join, sized, u32 } from '../wire/writer.ts';
import { run, type Swtpm } from './swtpm.ts';
import { tpmOfFile } from './tpm-of-file.ts';

let swtpm: Swtpm;
let tpm: Tpm;
let akBlob: ObjectBlob<KeyPublic>;
tpmOfFile({ certificates: true }, async (...made) => {
  [tpm, swtpm] = made;
  akBlob = await tpm.use((channel) => withStorageRoot(channel, (srk) => create(channel, srk, attestationTemplate())));
});

const fails =
  (code: string, seen = /./) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof KeysteadError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, seen);
    return true;
  };

const NONCE = sha256(Buffer.from('a nonce'));
const PCRS = { bank: 'sha256', pcrs: [0, 7, 16] } as const;

/** With the attestation key loaded under the storage root. */
const withAk = <T>(work: (channel: Channel, ak: Loaded<KeyPublic>, srk: Loaded<EccPublic>) => Promise<T>): Promise<T> =>
  tpm.use((channel) =>
    withStorageRoot(channel, async (srk) => {
      const ak = await load(channel, srk, akBlob);
      return flushing(channel, ak, () => work(channel, ak, srk));
    }),
  );

const file = (name: string, bytes: Uint8Array | string): string => {
  writeFileSync(swtpm.path(name), bytes);
  return swtpm.path(name);
};

const quoted = (): Promise<SignedStatement> => withAk((channel, ak) => quote(channel, ak, NONCE, PCRS));
const values = () => tpm.use((channel) => readPcrs(channel, PCRS));

test('a quote of ours is verified by tpm2_checkquote, and by us', async () => {
  await tpm.use((channel) => extendPcr(channel, 16, 'sha256', sha256(Buffer.from('boot'))));
  const statement = await quoted();
  verifyQuote(statement, akBlob.area, NONCE, { bank: 'sha256', values: await values() });
  const key = file('ak.pem', toPem('PUBLIC KEY', spkiOf(akBlob.area)));
  const [message, signature] = [file('quote', statement.attest), file('quote.sig', statement.signature)];
  run('tpm2_checkquote', ['-u', key, '-m', message, '-s', signature, '-q', toHex(NONCE)]);
  assert.throws(() => run('tpm2_checkquote', ['-u', key, '-m', message, '-s', signature, '-q', '00'.repeat(32)]));
});

test('a quote by tpm2_quote is verified by us, in RSA too', async () => {
  swtpm.tool('tpm2_createek', '-c', swtpm.path('ek.ctx'), '-G', 'rsa');
  for (const [algorithm, scheme] of [
    ['rsa', 'rsassa'],
    ['rsa', 'rsapss'],
    ['ecc', 'ecdsa'],
  ] as const) {
    const ak = swtpm.path(`ak-${scheme}.ctx`);
    const keys = ['-C', swtpm.path('ek.ctx'), '-c', ak, '-u', swtpm.path('ak.pub'), '-f', 'tss'];
    swtpm.tool('tpm2_createak', ...keys, '-G', algorithm, '-g', 'sha256', '-s', scheme, '-n', swtpm.path('ak.name'));
    swtpm.tool('tpm2_readpublic', '-c', ak, '-o', swtpm.path('ak.tss'), '-f', 'tss');
    const files = ['-m', swtpm.path('q.msg'), '-s', swtpm.path('q.sig')];
    swtpm.tool(
      'tpm2_quote',
      '-c',
      ak,
      '-l',
      'sha256:0,7,16',
      '-q',
      toHex(NONCE),
      ...files,
      '-g',
      'sha256',
      '--scheme',
      scheme,
    );
    const area = decodePublic(readFileSync(swtpm.path('ak.tss')).subarray(2));
    assert.notEqual(area.type, 'sealed');
    if (area.type === 'sealed') continue;
    const statement = { attest: readFileSync(swtpm.path('q.msg')), signature: readFileSync(swtpm.path('q.sig')) };
    verifyQuote(statement, area, NONCE, { bank: 'sha256', values: await values() });
  }
});

test('a quote with another nonce, other values, other PCRs, another key or a changed octet is refused, by what is wrong', async () => {
  const statement = await quoted();
  const now = await values();
  const verifying =
    (changed: Partial<SignedStatement>, nonce = NONCE, expected = now, ak: KeyPublic = akBlob.area) =>
    () =>
      verifyQuote({ ...statement, ...changed }, ak, nonce, { bank: 'sha256', values: expected });
  const refused = (seen: RegExp) => fails('attestation.statement-refused', seen);
  assert.throws(verifying({}, sha256(NONCE)), refused(/nonce/));
  assert.throws(verifying({}, NONCE, new Map([...now, [7, new Uint8Array(32).fill(1)]])), refused(/pcrDigest/));
  assert.throws(verifying({}, NONCE, new Map([...now].slice(1))), refused(/pcrs/));
  const other = await tpm.use((channel) =>
    withStorageRoot(channel, (srk) => create(channel, srk, attestationTemplate())),
  );
  assert.throws(verifying({}, NONCE, now, other.area), refused(/signature/));
  for (let at = 0; at < statement.attest.length; at += 7) {
    const attest = statement.attest.slice();
    attest[at] = (attest[at] ?? 0) ^ 1;
    assert.throws(verifying({ attest }), refused(/./), `octet ${at}`);
  }
  assert.throws(verifying({ signature: statement.signature.subarray(1) }), refused(/signature/));
  // A key that signs anything could be made to sign a statement that no TPM made.
  const free = await tpm.use((channel) =>
    withStorageRoot(channel, (srk) => create(channel, srk, signingTemplate('P-256'))),
  );
  assert.throws(verifying({}, NONCE, now, free.area), fails('attestation.key-refused', /restricted/));
});

test('TEST-KEY-03: the TPM certifies a key; openssl verifies the statement, and it names that key and no other', async () => {
  const keyBlob = await tpm.use((channel) =>
    withStorageRoot(channel, (srk) => create(channel, srk, signingTemplate('P-256'))),
  );
  const statement = await withAk(async (channel, ak, srk) =>
    flushing(channel, await load(channel, srk, keyBlob), (key) => certify(channel, key, ak, NONCE)),
  );
  const attest = verifyCertify(statement, akBlob.area, NONCE, keyBlob.area);
  assert.deepEqual(attest.name, nameOf(keyBlob.area));
  const other = { ...keyBlob.area, attributes: keyBlob.area.attributes | 0x400000 };
  assert.throws(
    () => verifyCertify(statement, akBlob.area, NONCE, other),
    fails('attestation.statement-refused', /name/),
  );
  assert.throws(
    () => verifyCertify(statement, akBlob.area, sha256(NONCE), keyBlob.area),
    fails('attestation.statement-refused', /nonce/),
  );

  const key = file('ak.pem', toPem('PUBLIC KEY', spkiOf(akBlob.area)));
  // tpm2_checkquote takes quotes only; the signature itself any tool verifies.
  const signature = file('certify.sig', decodeSignature(statement.signature).bytes);
  const said = run('openssl', [
    'dgst',
    '-sha256',
    '-verify',
    key,
    '-signature',
    signature,
    file('certify', statement.attest),
  ]);
  assert.match(said, /Verified OK/);
});

test('TEST-KEY-03: what tpm2_certify says of a key is verified by us', () => {
  swtpm.tool('tpm2_createek', '-c', swtpm.path('c.ek'), '-G', 'rsa');
  const [ak, parent, key] = [swtpm.path('c.ak'), swtpm.path('c.parent'), swtpm.path('c.key')];
  swtpm.tool('tpm2_createak', '-C', swtpm.path('c.ek'), '-c', ak, '-G', 'ecc', '-g', 'sha256', '-s', 'ecdsa');
  swtpm.tool('tpm2_createprimary', '-C', 'o', '-G', 'ecc', '-c', parent);
  const files = ['-u', swtpm.path('c.pub'), '-r', swtpm.path('c.priv')];
  swtpm.tool('tpm2_create', '-C', parent, '-G', 'ecc:ecdsa-sha256', ...files, '-c', key);
  const [attest, signature] = [swtpm.path('c.attest'), swtpm.path('c.sig')];
  swtpm.tool('tpm2_certify', '-c', key, '-C', ak, '-g', 'sha256', '-o', attest, '-s', signature);
  const areaOf = (context: string): KeyPublic => {
    swtpm.tool('tpm2_readpublic', '-c', context, '-o', swtpm.path('c.tss'), '-f', 'tss');
    const area = decodePublic(readFileSync(swtpm.path('c.tss')).subarray(2));
    assert.ok(area.type !== 'sealed');
    return area;
  };
  const statement = { attest: readFileSync(attest), signature: readFileSync(signature) };
  // What the tool gives as qualifying data.
  const nonce = Uint8Array.of(0x00, 0xff, 0x55, 0xaa);
  verifyCertify(statement, areaOf(ak), nonce, areaOf(key));
});

test('TEST-KEY-03: a quote does not pass for a certified key, nor the other way round', async () => {
  const statement = await quoted();
  assert.throws(
    () => verifyCertify(statement, akBlob.area, NONCE, akBlob.area),
    fails('attestation.statement-refused', /a quote/),
  );
});

for (const kind of ENDORSEMENT_KINDS) {
  test(`a credential that we make for the endorsement key ${kind.label} opens in its TPM only, for its key only`, async () => {
    const secret = SecretBytes.copy(sha256(Buffer.from(kind.label)));
    await withAk((channel, ak, srk) =>
      withEndorsementKey(channel, kind, async (ek) => {
        const credential = makeCredential(ek.area, ak.name, secret);
        const opened = await activateCredential(channel, { srk, ek, ak }, credential);
        assert.deepEqual(opened.use(toHex), secret.use(toHex));
        const forOther = makeCredential(ek.area, srk.name, secret);
        await assert.rejects(
          activateCredential(channel, { srk, ek, ak }, forOther),
          fails('tpm2.refused', /INTEGRITY|VALUE/),
        );
        const changed = { ...credential, idObject: credential.idObject.slice() };
        changed.idObject[40] = (changed.idObject[40] ?? 0) ^ 1;
        await assert.rejects(activateCredential(channel, { srk, ek, ak }, changed), fails('tpm2.refused', /INTEGRITY/));
      }),
    );
  });
}

/** The file of tpm2_makecredential: magic, version, TPM2B_ID_OBJECT, TPM2B_ENCRYPTED_SECRET. */
const MAGIC = 0xbadcc0de;

for (const kind of [ENDORSEMENT_KINDS[2], ENDORSEMENT_KINDS[0]]) {
  if (kind === undefined) continue;
  test(`tpm2_makecredential for ${kind.label} opens in our activation, and ours in tpm2_activatecredential`, async () => {
    const algorithm = kind.template.type === 'rsa' ? 'rsa' : 'ecc';
    const ekContext = swtpm.path(`${algorithm}.ek`);
    swtpm.tool('tpm2_createek', '-c', ekContext, '-G', algorithm, '-u', swtpm.path('ek.pub'), '-f', 'tss');
    swtpm.tool('tpm2_createak', '-C', ekContext, '-c', swtpm.path('ak.ctx'), '-G', 'ecc', '-n', swtpm.path('ak.name'));
    const name = readFileSync(swtpm.path('ak.name'));
    const ekArea = decodePublic(readFileSync(swtpm.path('ek.pub')).subarray(2));
    assert.ok(ekArea.type !== 'sealed');
    const ours = await tpm.use((channel) => withEndorsementKey(channel, kind, async (ek) => encodePublic(ek.area)));
    assert.deepEqual(encodePublic(ekArea), ours, 'tpm2_createek makes the key of our template');

    const secret = SecretBytes.copy(Buffer.from('the secret of a credential'));
    const credential = makeCredential(ekArea, name, secret);
    const blob = file('ours', join(u32(MAGIC), u32(1), sized(credential.idObject), sized(credential.encryptedSecret)));
    const session = swtpm.path('session');
    swtpm.tool('tpm2_startauthsession', '--policy-session', '-S', session);
    swtpm.tool('tpm2_policysecret', '-S', session, '-c', 'e');
    const keys = ['-c', swtpm.path('ak.ctx'), '-C', ekContext, '-P', `session:${session}`];
    swtpm.tool('tpm2_activatecredential', ...keys, '-i', blob, '-o', swtpm.path('opened'));
    swtpm.tool('tpm2_flushcontext', session);
    assert.equal(readFileSync(swtpm.path('opened'), 'utf8'), 'the secret of a credential');

    const [plain, theirs] = [file('plain', 'made by tpm2-tools'), swtpm.path('theirs')];
    const akName = toHex(nameOf(akBlob.area));
    run('tpm2_makecredential', ['-T', 'none', '-u', swtpm.path('ek.pub'), '-s', plain, '-n', akName, '-o', theirs]);
    const bytes = readFileSync(theirs);
    const idLength = bytes.readUInt16BE(8);
    const idObject = bytes.subarray(10, 10 + idLength);
    const encryptedSecret = bytes.subarray(12 + idLength);
    const opened = await withAk((channel, ak, srk) =>
      withEndorsementKey(channel, kind, (ek) =>
        activateCredential(channel, { srk, ek, ak }, { idObject, encryptedSecret }),
      ),
    );
    assert.equal(
      opened.use((secretBytes) => Buffer.from(secretBytes).toString()),
      'made by tpm2-tools',
    );
  });
}

test('the certificates of endorsement keys are read from the TPM, as tpm2_nvread reads them, and verify by openssl', async () => {
  const found = await tpm.use(endorsementCertificates);
  assert.deepEqual(
    found.map(({ kind }) => kind.label),
    ['H-3 ECC P-384', 'L-1 RSA 2048'],
  );
  const { issuer, root } = swtpm.authorities();
  const chain = [
    '-CAfile',
    file('root.pem', toPem('CERTIFICATE', root)),
    '-untrusted',
    file('issuer.pem', toPem('CERTIFICATE', issuer)),
  ];
  for (const { kind, certificate } of found) {
    swtpm.tool('tpm2_nvread', `0x${kind.certificateIndex.toString(16)}`, '-o', swtpm.path('nv'));
    assert.deepEqual(certificate, new Uint8Array(readFileSync(swtpm.path('nv'))).subarray(0, certificate.length));
    const pem = file('ek.pem', toPem('CERTIFICATE', certificate));
    // OpenSSL does not know the critical name of a TPM in the subject alternative name.
    assert.match(run('openssl', ['verify', '-ignore_critical', ...chain, pem]), /OK/);
  }
});

test('no credential is made for a key that is no endorsement key', () => {
  const secret = SecretBytes.copy(Buffer.from('secret'));
  for (const area of [akBlob.area, signingTemplate('RSA-2048')]) {
    assert.throws(() => makeCredential(area, nameOf(area), secret), fails('attestation.key-refused'));
  }
});
