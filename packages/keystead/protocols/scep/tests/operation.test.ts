import assert from 'node:assert/strict';
import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { type DerCertificate, type DerCrl, toHex } from '@keystead/core/bytes';
import { randomBytes, SecretBytes, softwareTransport } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type CertificateInfo,
  contentInfo,
  envelopedData,
  integerFromBytes,
  octetString,
  printableString,
  readCertificate,
  readCertsOnly,
  readSigned,
  sequence,
  signedData,
  verifySigned,
} from '@keystead/core/x509';
import fc from 'fast-check';
import { mutated } from '../../../../core/x509/tests/mutate.ts';
import { CA_EXTENSIONS, OpensslPki } from '../../../../core/x509/tests/openssl-pki.ts';
import { MESSAGE_TYPES, SCEP_ATTRIBUTES } from '../oids.ts';
import { type ScepDomain, ScepOperations } from '../operation.ts';
import type { Waiting } from '../transactions.ts';

const pki = new OpensslPki();
after(() => pki.remove());
pki.issue({ name: 'root', extensions: CA_EXTENSIONS });
pki.issue({ name: 'ca', issuer: 'root', extensions: CA_EXTENSIONS });
const RA_EXTENSIONS = ['keyUsage=digitalSignature,keyEncipherment'];
pki.issue({ name: 'ra', issuer: 'ca', algorithm: 'RSA-3072', extensions: RA_EXTENSIONS });
pki.issue({ name: 'old-ra', issuer: 'ca', algorithm: 'RSA-3072', extensions: RA_EXTENSIONS });
for (const [name, algorithm] of [
  ['rsa', 'RSA-3072'],
  ['ec', 'P-256'],
  ['other', 'RSA-3072'],
] as const)
  pki.issue({ name, subject: '/O=Keystead/CN=TRY-1', algorithm, extensions: ['keyUsage=digitalSignature'] });
pki.issue({ name: 'issued', issuer: 'ca', keyOf: 'rsa', extensions: ['keyUsage=digitalSignature'] });

const info = (name: string): CertificateInfo => readCertificate(pki.certificate(name));
const raOf = (name: string) => {
  const der = createPrivateKey(readFileSync(pki.path(`${name}.key`))).export({ format: 'der', type: 'pkcs8' });
  const transport = softwareTransport('RSA-3072', SecretBytes.take(new Uint8Array(der)));
  return { certificate: info(name), signer: pki.signer(name), transport };
};
const [RA, OLD_RA] = [raOf('ra'), raOf('old-ra')];
const CRL = (() => {
  pki.write('index.txt', '');
  const config =
    '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=number\ndefault_md=sha256\ndefault_crl_days=1\n';
  pki.write('ca.cnf', config);
  pki.write('number', '01\n');
  const by = ['-cert', 'ca.pem', '-keyfile', 'ca.key'];
  pki.run('openssl', 'ca', '-config', 'ca.cnf', '-gencrl', ...by, '-out', 'crl.pem');
  pki.run('openssl', 'crl', '-in', 'crl.pem', '-outform', 'DER', '-out', 'crl.der');
  return pki.read('crl.der') as DerCrl;
})();

/** A request by openssl, with a challengePassword. */
function csrOf(name: string, challenge: string | undefined, cn = 'TRY-1'): Uint8Array {
  const attribute = challenge === undefined ? '' : `attributes=a\n[a]\nchallengePassword=${challenge}\n`;
  pki.write('req.cnf', `[req]\nprompt=no\ndistinguished_name=dn\n${attribute}[dn]\nO=Keystead\nCN=${cn}\n`);
  pki.run('openssl', 'req', '-new', '-key', `${name}.key`, '-config', 'req.cnf', '-outform', 'DER', '-out', 'req.der');
  return pki.read('req.der');
}

interface Sent {
  readonly type: keyof typeof MESSAGE_TYPES;
  readonly content: Uint8Array;
  readonly signer?: string;
  readonly transactionId?: string;
  readonly nonce?: Uint8Array;
  readonly recipient?: string;
  readonly keyBytes?: 16 | 32;
}

const SECRET = 'a1.the-secret-of-the-authorisation';

/** A message as a client makes it. */
async function message(sent: Sent, change: (envelope: Uint8Array) => Uint8Array = (same) => same): Promise<Uint8Array> {
  const {
    type,
    signer = 'rsa',
    transactionId = 'T-1',
    nonce = randomBytes(16),
    recipient = 'ra',
    keyBytes = 16,
  } = sent;
  const made = envelopedData({
    type: 'data',
    content: sent.content,
    recipient: info(recipient),
    keyBytes,
    scheme: 'pkcs1-v1_5',
  });
  const attributes = [
    { oid: SCEP_ATTRIBUTES.messageType, value: printableString(MESSAGE_TYPES[type]) },
    { oid: SCEP_ATTRIBUTES.transactionId, value: printableString(transactionId) },
    { oid: SCEP_ATTRIBUTES.senderNonce, value: octetString(nonce) },
  ];
  const content = change(contentInfo('envelopedData', made));
  return contentInfo(
    'signedData',
    await signedData({ type: 'data', content, attributes, signer: info(signer) }, pki.signer(signer)),
  );
}

/** A domain that grants, and keeps what it was asked. */
class Domain implements ScepDomain {
  readonly asked: string[] = [];
  readonly refusals: string[] = [];
  waits = false;
  ras = () => [RA, OLD_RA] as const;
  caCertificates = () => [pki.certificate('ca'), pki.certificate('root')];
  async authorise(challenge: string): Promise<string> {
    if (challenge !== SECRET) throw new KeysteadError('authorisation.secret-wrong', { field: 'secret' });
    return 'a1';
  }
  async enrol({ authorisationId, csr }: Waiting) {
    this.asked.push(`enrol ${authorisationId} ${csr.length}`);
    return this.waits ? { pending: 'r1' } : { certificate: pki.certificate('issued') };
  }
  async renew(signer: DerCertificate) {
    this.asked.push('renew');
    if (Buffer.compare(signer, pki.certificate('issued')) !== 0)
      throw new KeysteadError('client.certificate-unknown', { field: 'client certificate' });
    return { certificate: pki.certificate('issued') };
  }
  async certificate(signer: DerCertificate, { serial }: { serial: string }) {
    if (Buffer.compare(signer, pki.certificate('issued')) !== 0)
      throw new KeysteadError('client.certificate-unknown', { field: 'client certificate' });
    if (serial !== info('issued').serial) throw new KeysteadError('scep.certificate-unknown', { field: 'serial' });
    return pki.certificate('issued');
  }
  crl = (): DerCrl => CRL;
  async refused(error: KeysteadError): Promise<void> {
    this.refusals.push(error.code);
  }
}

interface Reply {
  readonly status: string;
  readonly fail: string | undefined;
  readonly text: string;
  readonly transactionId: string;
  readonly recipientNonce: string;
  readonly envelope: Uint8Array | undefined;
}

const FAIL_NAMES: Record<string, string> = { 0: 'badAlg', 1: 'badMessageCheck', 2: 'badRequest', 4: 'badCertId' };

/** The answer, verified by openssl as well. */
function read(der: Uint8Array): Reply {
  const reply = readSigned(der);
  verifySigned(reply, info('ra').spki);
  const text = (id: string): string => Buffer.from(reply.attributes.get(id)?.value ?? []).toString('utf8');
  assert.equal(text(SCEP_ATTRIBUTES.messageType), MESSAGE_TYPES.CertRep);
  assert.equal(reply.attributes.get(SCEP_ATTRIBUTES.senderNonce)?.value.length, 16);
  return {
    status: text(SCEP_ATTRIBUTES.pkiStatus),
    fail: FAIL_NAMES[text(SCEP_ATTRIBUTES.failInfo)],
    text: text(SCEP_ATTRIBUTES.failInfoText),
    transactionId: text(SCEP_ATTRIBUTES.transactionId),
    recipientNonce: toHex(reply.attributes.get(SCEP_ATTRIBUTES.recipientNonce)?.value ?? new Uint8Array()),
    envelope: reply.content,
  };
}

/** What openssl decrypts from a reply with the key of who asked. */
function opened(reply: Reply, name: string): Uint8Array {
  pki.write('reply.env', reply.envelope ?? new Uint8Array());
  const key = ['-inkey', `${name}.key`, '-recip', `${name}.pem`];
  pki.run('openssl', 'cms', '-decrypt', '-binary', '-inform', 'DER', '-in', 'reply.env', ...key, '-out', 'reply.p7');
  return pki.read('reply.p7');
}

const fresh = () => {
  const domain = new Domain();
  const operations = new ScepOperations(domain);
  const ask = async (sent: Sent, change?: (envelope: Uint8Array) => Uint8Array) =>
    read(await operations.answer(await message(sent, change), 'r'));
  return { domain, operations, ask };
};
const nameOf = (name: string): Uint8Array =>
  sequence(info(name).issuerDer, integerFromBytes(Buffer.from(info(name).serial, 'hex')));

for (const [signer, keyBytes] of [
  ['rsa', 16],
  ['rsa', 32],
  ['ec', 32],
] as const) {
  test(`PKCSReq by a ${signer} key under AES-${keyBytes * 8} gets its certificate, which openssl cms decrypts [openssl cms: SCEP CertRep]`, async () => {
    const { ask, domain } = fresh();
    const nonce = randomBytes(16);
    const reply = await ask({
      type: 'PKCSReq',
      content: csrOf(signer, SECRET),
      signer,
      keyBytes,
      nonce,
      transactionId: 'AB12',
    });
    assert.deepEqual([reply.status, reply.fail, reply.transactionId], ['0', undefined, 'AB12']);
    assert.equal(reply.recipientNonce, toHex(nonce));
    assert.deepEqual(readCertsOnly(opened(reply, signer)), [pki.certificate('issued'), pki.certificate('ca')]);
    assert.equal(domain.asked.length, 1);
  });
}

test('a message to the RA of before is opened too; one to somebody else is not', async () => {
  const { ask } = fresh();
  assert.equal((await ask({ type: 'PKCSReq', content: csrOf('rsa', SECRET), recipient: 'old-ra' })).status, '0');
  const foreign = await ask({ type: 'PKCSReq', content: csrOf('rsa', SECRET), recipient: 'other' });
  assert.equal(foreign.fail, 'badMessageCheck');
});

test('RenewalReq goes by the certificate that signed it; a self-signed one is refused', async () => {
  const { ask } = fresh();
  const renewed = await ask({ type: 'RenewalReq', content: csrOf('ec', undefined), signer: 'issued' });
  assert.equal(renewed.status, '0');
  const stranger = await ask({ type: 'RenewalReq', content: csrOf('ec', undefined), signer: 'rsa' });
  assert.deepEqual([stranger.status, stranger.fail], ['2', 'badRequest']);
});

test('a request that waits is polled by its transaction and its key, and by no other; then it is granted', async () => {
  const { ask, domain } = fresh();
  domain.waits = true;
  const content = csrOf('rsa', SECRET);
  const poll = sequence(info('ca').subjectDer, info('rsa').subjectDer);
  const waiting = await ask({ type: 'PKCSReq', content });
  assert.deepEqual([waiting.status, waiting.envelope], ['3', undefined]);
  assert.equal((await ask({ type: 'CertPoll', content: poll })).status, '3');
  assert.equal((await ask({ type: 'CertPoll', content: poll, transactionId: 'T-2' })).fail, 'badCertId');
  assert.equal((await ask({ type: 'CertPoll', content: poll, signer: 'other' })).fail, 'badCertId');
  const foreign = sequence(info('ca').subjectDer, info('root').subjectDer);
  assert.equal((await ask({ type: 'CertPoll', content: foreign })).fail, 'badCertId');
  const taken = await ask({ type: 'PKCSReq', content: csrOf('other', SECRET), signer: 'other' });
  assert.deepEqual([taken.fail, /scep\.transaction/.test(taken.text)], ['badRequest', true]);
  domain.waits = false;
  assert.equal((await ask({ type: 'CertPoll', content: poll })).status, '0');
  assert.equal((await ask({ type: 'CertPoll', content: poll })).fail, 'badCertId', 'it has ended');
});

test('GetCert and GetCRL give what openssl reads; a stranger gets no certificate, and one that is not there is badCertId', async () => {
  const { ask } = fresh();
  const certificate = await ask({ type: 'GetCert', content: nameOf('issued'), signer: 'issued' });
  assert.deepEqual(readCertsOnly(opened(certificate, 'issued')), [pki.certificate('issued')]);
  assert.equal((await ask({ type: 'GetCert', content: nameOf('rsa'), signer: 'issued' })).fail, 'badCertId');
  assert.equal((await ask({ type: 'GetCert', content: nameOf('issued') })).fail, 'badRequest');
  opened(await ask({ type: 'GetCRL', content: nameOf('issued') }), 'rsa');
  const printed = pki.run('openssl', 'pkcs7', '-inform', 'DER', '-in', 'reply.p7', '-print_certs');
  assert.match(printed, /BEGIN X509 CRL/);
});

test('a key that is another, a challenge that is wrong, missing or spent of sense: badRequest with the rule, and nothing is asked of the domain', async () => {
  const { ask, domain } = fresh();
  for (const [sent, code] of [
    [{ type: 'PKCSReq', content: csrOf('other', SECRET) }, 'scep.key-differs'],
    [{ type: 'PKCSReq', content: csrOf('rsa', undefined) }, 'scep.challenge'],
    [{ type: 'PKCSReq', content: csrOf('rsa', 'a1.guess') }, 'authorisation.secret-wrong'],
    [{ type: 'PKCSReq', content: csrOf('rsa', SECRET), nonce: randomBytes(8) }, 'scep.attributes'],
  ] as const) {
    const reply = await ask(sent);
    assert.deepEqual([reply.status, reply.fail], ['2', 'badRequest'], code);
    assert.ok(reply.text.startsWith(`${code}: `), reply.text);
    assert.equal(reply.text.includes('guess'), false);
  }
  assert.deepEqual(domain.asked, []);
});

test('a nonce is for one message: the very same one may come again and changes nothing, another with it is refused', async () => {
  const { operations, ask, domain } = fresh();
  const nonce = randomBytes(16);
  const sent = await message({ type: 'PKCSReq', content: csrOf('rsa', SECRET), nonce });
  assert.equal(read(await operations.answer(sent, 'r')).status, '0');
  assert.equal(read(await operations.answer(sent, 'r')).status, '0');
  const other = await ask({ type: 'PKCSReq', content: csrOf('rsa', SECRET), nonce });
  assert.deepEqual([other.fail, /scep\.replayed/.test(other.text)], ['badRequest', true]);
  assert.equal(domain.asked.length, 2);
});

test('a digest other than SHA-256 and SHA-384, and a cipher other than AES-128 and AES-256 in CBC, are badAlg; a signature that does not verify is badMessageCheck', async () => {
  const { operations } = fresh();
  const whole = await message({ type: 'PKCSReq', content: csrOf('rsa', SECRET) });
  const swap = (from: string, to: string): Uint8Array => {
    const text = toHex(whole);
    assert.ok(text.includes(from));
    return new Uint8Array(Buffer.from(text.replaceAll(from, to), 'hex'));
  };
  // An OID of the same length: what is not SHA-256 or SHA-384 is not taken, whatever it is.
  const sha224 = read(await operations.answer(swap('0609608648016503040201', '0609608648016503040204'), 'r'));
  assert.deepEqual([sha224.status, sha224.fail], ['2', 'badAlg']);
  pki.write('plain', csrOf('rsa', SECRET));
  for (const cipher of ['-des3', '-aes192']) {
    pki.run(
      'openssl',
      'cms',
      '-encrypt',
      '-binary',
      '-in',
      'plain',
      cipher,
      '-outform',
      'DER',
      '-out',
      'e.der',
      '-recip',
      'ra.pem',
    );
    const sent = await message({ type: 'PKCSReq', content: new Uint8Array(1) }, () => pki.read('e.der'));
    assert.equal(read(await operations.answer(sent, 'r')).fail, 'badAlg', cipher);
  }
  const forged = Uint8Array.from(whole);
  forged[forged.length - 1] = (forged[forged.length - 1] ?? 0) ^ 1;
  assert.equal(read(await operations.answer(forged, 'r')).fail, 'badMessageCheck');
});

test('whatever is wrong inside the envelope has one answer, octet for octet of its meaning: no padding oracle, neither of RSA nor of CBC', async () => {
  const { operations } = fresh();
  const envelope = contentInfo(
    'envelopedData',
    envelopedData({
      type: 'data',
      content: csrOf('rsa', SECRET),
      recipient: info('ra'),
      keyBytes: 16,
      scheme: 'pkcs1-v1_5',
    }),
  );
  const answers = new Set<string>();
  const tried = async (changed: Uint8Array): Promise<void> => {
    const sent = await message({ type: 'PKCSReq', content: new Uint8Array(1), signer: 'other' }, () => changed);
    const { status, fail, text } = read(await operations.answer(sent, 'r'));
    answers.add(`${status} ${fail} ${text}`);
  };
  const flip = (at: number, mask: number): Uint8Array =>
    Uint8Array.from(envelope, (octet, index) =>
      index === (at + envelope.length) % envelope.length ? octet ^ mask : octet,
    );
  const wrapped = Buffer.from(envelope).indexOf(Buffer.from([0x04, 0x82, 0x01, 0x80]));
  assert.ok(wrapped > 0);
  // The wrapped key: its first, a middle and its last octets. The content: the last block, the one before, the middle.
  for (const at of [wrapped + 5, wrapped + 100, wrapped + 387]) await tried(flip(at, 1));
  for (const at of [-1, -16, -17, -18, -32, -200, -400]) for (const mask of [1, 0x80]) await tried(flip(at, mask));
  for (const content of [new Uint8Array(1), new Uint8Array(500), csrOf('rsa', SECRET).subarray(0, -1)])
    await tried(
      contentInfo(
        'envelopedData',
        envelopedData({ type: 'data', content, recipient: info('ra'), keyBytes: 32, scheme: 'pkcs1-v1_5' }),
      ),
    );
  assert.deepEqual(
    [...answers].map((one) => one.slice(0, 45)),
    ['2 badMessageCheck scep.message-unreadable: pk'],
  );
});

test('no bytes make it fail in another way than by its own errors', async () => {
  const { operations } = fresh();
  const seed = await message({ type: 'PKCSReq', content: csrOf('rsa', SECRET) });
  const known = new Set(['cms.message-malformed', 'scep.attributes']);
  await fc.assert(
    fc.asyncProperty(fc.oneof(mutated([seed]), fc.uint8Array({ maxLength: 300 })), async (bytes) => {
      if (Buffer.compare(bytes, seed) === 0) return;
      try {
        assert.notEqual(read(await operations.answer(bytes, 'r')).status, '3');
      } catch (error) {
        assert.ok(error instanceof KeysteadError && known.has(error.code), String(error));
      }
    }),
    { numRuns: 400 },
  );
});
