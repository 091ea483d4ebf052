import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { toHex, toPem } from '@keystead/core/bytes';
import { DIGEST_OF, type GeneratedKeyAlgorithm, generateSoftwareKey, SecretBytes, signBy } from '@keystead/core/crypto';
import { CKA, CKM, CKO_DATA, CKO_PRIVATE_KEY, CKO_SECRET_KEY } from '@keystead/pkcs11/cryptoki.ts';
import { formatRecord, objectIdOf } from '@keystead/pkcs11/record.ts';
import { keySearch, recordTemplate } from '@keystead/pkcs11/templates.ts';
import type { AgreementKeystore, WrappingKeystore } from '../../keystore.ts';
import { PIN, SOFTHSM, SoftHsm } from './softhsm.ts';

const pkcs11js: typeof import('pkcs11js') = createRequire(import.meta.url)('pkcs11js');
const ALGORITHMS: readonly GeneratedKeyAlgorithm[] = ['P-256', 'P-384', 'Ed25519', 'RSA-3072', 'RSA-4096'];
const DATA = Buffer.from('what is signed', 'utf8');

let hsm: SoftHsm;
let keystore: AgreementKeystore & WrappingKeystore;
before(async () => {
  hsm = new SoftHsm('one', 'two');
  keystore = await hsm.open();
});
after(() => {
  keystore.close();
  hsm.remove();
});

/** The module itself, in this process, which is logged in: more than any attacker outside of it has. */
function direct(): { module: import('pkcs11js').PKCS11; session: Buffer } {
  const module = new pkcs11js.PKCS11();
  module.load(SOFTHSM);
  const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trimEnd() === 'one');
  assert.ok(slot);
  return { module, session: module.C_OpenSession(slot, 6) };
}

for (const algorithm of ALGORITHMS) {
  test(`TEST-KEY-11: a ${algorithm} key is made on the token, and openssl verifies its signature`, async () => {
    const info = await keystore.generate(`key-${algorithm}`, algorithm, 'a test');
    assert.equal(info.custody, 'pkcs11');
    const signer = keystore.signer(info.id);
    const files = { key: join(hsm.dir, 'key.pem'), data: join(hsm.dir, 'data'), signature: join(hsm.dir, 'signature') };
    writeFileSync(files.key, toPem('PUBLIC KEY', signer.spki));
    writeFileSync(files.data, DATA);
    // Two: the second is not verified by the keystore itself.
    for (const signature of [await signer.sign(DATA), await signer.sign(DATA)]) {
      writeFileSync(files.signature, signature);
      const digest = DIGEST_OF[signer.signatureAlgorithm];
      const args = [
        'pkeyutl',
        '-verify',
        '-pubin',
        '-inkey',
        files.key,
        '-sigfile',
        files.signature,
        '-in',
        files.data,
      ];
      const said = execFileSync('openssl', [...args, '-rawin', ...(digest === null ? [] : ['-digest', digest])]);
      assert.match(said.toString(), /Verified Successfully/);
    }
  });
}

test('TEST-KEY-11: an RSA key on the token signs by another hash and by RSASSA-PSS, and openssl verifies each by its salt', async () => {
  const signer = keystore.signer('key-RSA-3072');
  const files = { key: join(hsm.dir, 'key.pem'), data: join(hsm.dir, 'data'), signature: join(hsm.dir, 'signature') };
  writeFileSync(files.key, toPem('PUBLIC KEY', signer.spki));
  writeFileSync(files.data, DATA);
  for (const [scheme, ...options] of [
    ['sha384WithRSAEncryption', '-sha384'],
    ['RSASSA-PSS-SHA256', '-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32'],
    ['RSASSA-PSS-SHA384', '-sha384', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:48'],
    ['RSASSA-PSS-SHA256-longest', '-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:350'],
  ] as const) {
    writeFileSync(files.signature, await signBy(signer, scheme, DATA));
    const how = ['dgst', ...options, '-verify', files.key, '-signature', files.signature, files.data];
    assert.match(execFileSync('openssl', how).toString(), /Verified OK/, scheme);
  }
  await assert.rejects(signBy(signer, 'ecdsa-with-SHA256', DATA), { code: 'key.algorithm-mismatch' });
  const curve = keystore.signer('key-P-384');
  writeFileSync(files.key, toPem('PUBLIC KEY', curve.spki));
  writeFileSync(files.signature, await signBy(curve, 'ecdsa-with-SHA256', DATA));
  const how = ['dgst', '-sha256', '-verify', files.key, '-signature', files.signature, files.data];
  assert.match(execFileSync('openssl', how).toString(), /Verified OK/);
  await assert.rejects(keystore.generate('quantum', 'ML-DSA-65', 'a test'), { code: 'keystore.mechanism-unsupported' });
});

test('TEST-KEY-11: pkcs11-tool shows keys that are sensitive, never extractable and made there, as the evidence says', () => {
  const { text } = hsm.tool('one', '--list-objects', '--type', 'privkey');
  const shown = text.split('Private Key Object').slice(1);
  const made = keystore.list().filter(({ purpose }) => purpose === 'a test');
  assert.equal(made.length, ALGORITHMS.length);
  for (const { id, evidence } of made) {
    const key = shown.find((one) => new RegExp(`label: +${id}\\n`).test(one));
    assert.match(key ?? '', /sensitive, always sensitive, never extract(able|ractable), local/, id);
    assert.match(key ?? '', new RegExp(`ID: +${toHex(objectIdOf(id))}`));
    assert.match(key ?? '', /Usage: +sign\n/);
    assert.equal(evidence?.CKA_SENSITIVE, true);
    assert.equal(evidence?.CKA_ALWAYS_SENSITIVE, true);
    assert.equal(evidence?.CKA_EXTRACTABLE, false);
    assert.equal(evidence?.CKA_NEVER_EXTRACTABLE, true);
    assert.equal(evidence?.CKA_LOCAL, true);
    assert.equal(evidence?.CKA_MODIFIABLE, false);
    assert.equal(evidence?.['token.label'], 'one');
    assert.equal(evidence?.['token.manufacturerID'], 'SoftHSM project');
  }
});

test('TEST-KEY-20: every attempt to get a signing key out of the token fails, with the PIN and from within', async () => {
  await keystore.generate('guarded', 'P-256', 'exports');
  await keystore.generateWrapping('taker', 'exports');
  const [guarded, taker_] = ['guarded', 'taker'].map((id) => toHex(objectIdOf(id)));
  const out = join(hsm.dir, 'taken');
  const tries = [
    ['--wrap', '--mechanism', 'AES-KEY-WRAP', '--id', `${taker_}`, '--application-id', `${taker_}`],
    ['--read-object', '--type', 'secrkey', '--id', `${taker_}`],
    ['--read-object', '--type', 'privkey', '--id', `${guarded}`],
  ];
  for (const args of tries) {
    const { text } = hsm.tool('one', ...args, '--output-file', out);
    assert.match(text, /CKR_KEY_UNEXTRACTABLE|CKR_ATTRIBUTE_SENSITIVE|sensitive|not \(yet\) supported/, args[0]);
    assert.equal(existsSync(out) && statSync(out).size > 0, false, args[0]);
  }

  const { module, session } = direct();
  const only = (kind: number, name: string): Buffer => {
    module.C_FindObjectsInit(session, keySearch(kind, objectIdOf(name)));
    const [handle] = module.C_FindObjects(session, 2);
    module.C_FindObjectsFinal(session);
    assert.ok(handle);
    return handle;
  };
  const key = only(CKO_PRIVATE_KEY, 'guarded');
  const taker = only(CKO_SECRET_KEY, 'taker');
  const code = (f: () => unknown): string => {
    try {
      f();
      return 'done';
    } catch (error) {
      return error instanceof Error ? error.message : '';
    }
  };
  assert.equal(
    code(() => module.C_GetAttributeValue(session, key, [{ type: CKA.VALUE }])),
    'CKR_ATTRIBUTE_SENSITIVE',
  );
  const wrapping = (by: Buffer, mechanism: number): string =>
    code(() => module.C_WrapKey(session, { mechanism }, by, key, Buffer.alloc(4096)));
  assert.equal(wrapping(taker, CKM.AES_KEY_WRAP), 'CKR_KEY_UNEXTRACTABLE');
  assert.equal(wrapping(taker, 0x210a), 'CKR_KEY_UNEXTRACTABLE');
  // A key of the attacker's own, under which anything that can leave would.
  const own = module.C_GenerateKey(session, { mechanism: CKM.AES_KEY_GEN }, [
    { type: CKA.VALUE_LEN, value: 32 },
    { type: CKA.WRAP, value: true },
  ]);
  assert.equal(wrapping(own, CKM.AES_KEY_WRAP), 'CKR_KEY_UNEXTRACTABLE');
  const loosened = [[{ type: CKA.EXTRACTABLE, value: true }], [{ type: CKA.SENSITIVE, value: false }]];
  for (const template of loosened) {
    assert.match(
      code(() => module.C_SetAttributeValue(session, key, template)),
      /^CKR_(ACTION_PROHIBITED|ATTRIBUTE_READ_ONLY|VENDOR_DEFINED)/,
    );
    assert.match(
      code(() => module.C_CopyObject(session, key, template)),
      /^CKR_(ATTRIBUTE_READ_ONLY|TEMPLATE_INCONSISTENT|ACTION_PROHIBITED|VENDOR_DEFINED)/,
    );
  }
  module.C_CloseSession(session);
  // And there is no call for it: nothing in the keystore's interface takes or gives a private key.
  assert.deepEqual(
    Object.getOwnPropertyNames(Object.getPrototypeOf(keystore)).filter((name) =>
      /export|backup|wrapKey|private/i.test(name),
    ),
    [],
  );
});

test('a keystore that is opened again has the same keys, in the order in which they were made', async () => {
  const before = keystore.list();
  keystore.close();
  keystore = await hsm.open();
  assert.deepEqual(keystore.list(), before);
  assert.deepEqual(
    keystore.wrappingKeys().map(({ id }) => id),
    ['taker'],
  );
  assert.deepEqual(
    before.slice(0, ALGORITHMS.length).map(({ algorithm }) => algorithm),
    ALGORITHMS,
  );
});

test('two keys agree on the secret that another program finds', async () => {
  for (const algorithm of ['P-256', 'P-384'] as const) {
    const info = await keystore.generateAgreement(`agree-${algorithm}`, algorithm, 'agreement');
    assert.equal(info.evidence?.CKA_SIGN, false);
    const peer = generateSoftwareKey(algorithm);
    using z = await keystore.agreement(info.id).agree(peer.spki);
    const [own, other] = [join(hsm.dir, 'own.der'), join(hsm.dir, 'other.der')];
    peer.pkcs8.use((bytes) => writeFileSync(own, bytes));
    writeFileSync(other, info.spki);
    const args = ['pkeyutl', '-derive', '-keyform', 'DER', '-inkey', own, '-peerform', 'DER', '-peerkey', other];
    assert.deepEqual(
      z.use((bytes) => Buffer.from(bytes)),
      execFileSync('openssl', args),
    );
    peer.pkcs8.wipe();
    assert.throws(() => keystore.signer(info.id), { code: 'keystore.key-missing' });
    const wrong = generateSoftwareKey(algorithm === 'P-256' ? 'P-384' : 'P-256').spki;
    await assert.rejects(keystore.agreement(info.id).agree(wrong), { code: 'key.algorithm-mismatch' });
    const off = Uint8Array.from(peer.spki);
    off[off.length - 1] = (off[off.length - 1] ?? 0) ^ 1;
    await assert.rejects(keystore.agreement(info.id).agree(off as typeof peer.spki), { code: 'key.weak' });
  }
});

test('a transport key comes out of its wrapping as it went in, and a changed one not at all', async () => {
  await keystore.generateWrapping('transport', 'keys on their way');
  const wrapper = keystore.wrapper('transport');
  for (const length of [16, 24, 32, 48, 64]) {
    using secret = SecretBytes.random(length);
    const wrapped = await wrapper.wrap(secret);
    assert.equal(wrapped.length, length + 8);
    using back = await wrapper.unwrap(wrapped);
    assert.deepEqual(
      back.use((a) => toHex(a)),
      secret.use((a) => toHex(a)),
    );
    wrapped[3] = (wrapped[3] ?? 0) ^ 1;
    await assert.rejects(wrapper.unwrap(wrapped), { code: 'wrap.damaged' });
  }
  for (const length of [0, 15, 17, 72]) {
    await assert.rejects(wrapper.wrap(SecretBytes.copy(new Uint8Array(length))), { code: 'wrap.length' });
    await assert.rejects(wrapper.unwrap(new Uint8Array(length)), { code: 'wrap.damaged' });
  }
});

test('a key id stands on the token once, and a destroyed key is gone for good', async () => {
  await assert.rejects(keystore.generate('guarded', 'P-256', ''), { code: 'keystore.key-exists' });
  await assert.rejects(keystore.generate('../x', 'P-256', ''), { code: 'keystore.key-malformed' });
  const signer = keystore.signer('guarded');
  await keystore.destroy('guarded');
  await assert.rejects(signer.sign(DATA), { code: 'keystore.key-missing' });
  assert.doesNotMatch(hsm.tool('one', '--list-objects').text, /guarded/);
  await keystore.generate('guarded', 'P-256', 'another');
  await assert.rejects(signer.sign(DATA), { code: 'keystore.key-missing' });
  await assert.rejects(keystore.destroy('nobody'), { code: 'keystore.key-missing' });
});

test('a token of another label or serial is not taken for this one, and one by its serial is found', async () => {
  const serial = String(keystore.list()[0]?.evidence?.['token.serialNumber']);
  const same = await hsm.open({ token: { serial } });
  assert.deepEqual(
    same.list().map(({ id }) => id),
    keystore.list().map(({ id }) => id),
  );
  same.close();
  const two = await hsm.open({ token: { label: 'two' } });
  assert.deepEqual(two.list(), []);
  two.close();
  await assert.rejects(hsm.open({ token: { label: 'three' } }), {
    code: 'keystore.token-absent',
    seen: /^only: (one, two|two, one)$/,
  });
  // The others of this process were not disturbed.
  assert.ok((await keystore.signer('guarded').sign(DATA)).length > 60);
});

test('a second key with the CKA_ID of a key, and a key that was brought there, are refused when the keystore is opened', async () => {
  const planted = await hsm.open({ token: { label: 'two' } });
  const { module } = direct();
  const slot = module.C_GetSlotList(true).find((one) => module.C_GetTokenInfo(one).label.trimEnd() === 'two');
  assert.ok(slot);
  const session = module.C_OpenSession(slot, 6);
  const record = {
    version: 1,
    id: 'brought',
    use: 'wrap',
    algorithm: 'AES-256',
    purpose: '',
    createdAt: '2026-01-01T00:00:00.000Z',
    sequence: 0,
  } as const;
  const quirks = hsm.config().quirks;
  module.C_CreateObject(session, recordTemplate(record, formatRecord(record), quirks));
  const secret = [
    { type: CKA.CLASS, value: CKO_SECRET_KEY },
    { type: CKA.KEY_TYPE, value: 0x1f },
    { type: CKA.TOKEN, value: true },
    { type: CKA.PRIVATE, value: true },
    { type: CKA.SENSITIVE, value: true },
    { type: CKA.EXTRACTABLE, value: false },
    { type: CKA.ID, value: Buffer.from(objectIdOf('brought')) },
    { type: CKA.VALUE, value: Buffer.alloc(32, 7) },
  ];
  module.C_CreateObject(session, secret);
  await assert.rejects(hsm.open({ token: { label: 'two' } }), { code: 'keystore.key-exposed', field: 'key brought' });
  module.C_CreateObject(session, secret);
  await assert.rejects(hsm.open({ token: { label: 'two' } }), {
    code: 'keystore.token-ambiguous',
    field: 'key brought',
  });
  module.C_CreateObject(session, [
    { type: CKA.CLASS, value: CKO_DATA },
    { type: CKA.TOKEN, value: true },
    { type: CKA.APPLICATION, value: 'keystead' },
    { type: CKA.LABEL, value: 'odd' },
    { type: CKA.VALUE, value: Buffer.from('{}') },
  ]);
  await assert.rejects(hsm.open({ token: { label: 'two' } }));
  module.C_CloseSession(session);
  planted.close();
});

test('close refuses everything after it, and the PIN stands in no error', async () => {
  const signer = keystore.signer('guarded');
  keystore.close();
  keystore.close();
  await assert.rejects(signer.sign(DATA), { code: 'keystore.closed' });
  assert.throws(() => keystore.signer('guarded'), { code: 'keystore.closed' });
  await assert.rejects(keystore.generate('late', 'P-256', ''), { code: 'keystore.closed' });
  const error: unknown = await hsm.open({ token: { label: 'one' } }, SecretBytes.copy(Buffer.from(`${PIN}9`))).then(
    () => undefined,
    (thrown) => thrown,
  );
  assert.ok(error instanceof Error);
  assert.doesNotMatch(`${error.stack}${JSON.stringify(error)}`, new RegExp(PIN));
  keystore = await hsm.open();
});
