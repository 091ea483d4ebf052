import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { toBase64, toBase64url } from '../../bytes/index.ts';
import { encodeAssertion, generateSoftwareKey, softwareSigner, sshKeyBlob } from '../../crypto/index.ts';
import { Authenticator } from '../../crypto/tests/authenticator.ts';
import { KeysteadError } from '../../errors/index.ts';
import {
  addTicketSignature,
  type CaRevocationOrder,
  checkPolicy,
  draftTicket,
  firmwareQuorum,
  formatStatements,
  type OperatorSigner,
  type Policy,
  type PolicyFile,
  policyDifferences,
  policyDocument,
  provenKey,
  renderMarkdown,
  type SignedStatement,
  type StatementSigner,
  signCaRevocation,
  signersOf,
  signKeyOrder,
  verifyCaRevocation,
  verifyKeyOrder,
  verifyTicket,
  verifyUpdate,
  webauthnChallenge,
} from '../index.ts';
import { fileOf, type Party, PolicyParties, seconds, successor } from './policy-parties.ts';
import { SecurityKey, UP, UV } from './security-key.ts';

const AT = new Date('2026-03-02T10:00:00Z');
const dir = mkdtempSync(join(tmpdir(), 'keystead-signers-'));
after(() => rmSync(dir, { recursive: true, force: true }));

function sshKeygen(args: readonly string[], input: Uint8Array | string = ''): string {
  const { status, stdout, stderr, error } = spawnSync('ssh-keygen', args, { input });
  if (error !== undefined) throw error;
  assert.equal(status, 0, `ssh-keygen ${args.join(' ')}\n${stderr}`);
  return stdout.toString();
}

/** A key that ssh-keygen makes and signs with. */
function sshKey(name: string, ...kind: string[]): { line: string; signer(namespace?: string): StatementSigner } {
  const file = join(dir, name);
  sshKeygen(['-q', ...kind, '-N', '', '-C', name, '-f', file]);
  return {
    line: readFileSync(`${file}.pub`, 'utf8').trim(),
    signer: (namespace = 'keystead-approval') => ({
      by: 'ssh',
      sign: async (data) => blobOf(sshKeygen(['-q', '-Y', 'sign', '-n', namespace, '-f', file], data)),
    }),
  };
}

const blobOf = (armoured: string): Uint8Array =>
  Buffer.from(armoured.replace(/-----(BEGIN|END) SSH SIGNATURE-----/g, ''), 'base64');

const parties = new PolicyParties();
const ssh = (key: string, more: object = {}): OperatorSigner => ({ kind: 'ssh', key, ...more });
const token = (name: Party): OperatorSigner => ({ kind: 'pkcs11', spki: toBase64(parties.signer(name).spki) });
const tokenOf = (name: Party): StatementSigner => ({ by: 'pkcs11', sign: (data) => parties.signer(name).sign(data) });
const passkey = (one: Authenticator): OperatorSigner => ({
  kind: 'webauthn',
  credentialId: toBase64url(one.credentialId),
  publicKey: toBase64url(one.publicKey),
  rpId: 'keystead.example',
  origins: ['https://keystead.example'],
});
const passkeyOf = (one: Authenticator, change: Parameters<Authenticator['assert']>[1] = {}): StatementSigner => ({
  by: 'webauthn',
  sign: async (data) => encodeAssertion(await one.assert(webauthnChallenge(data), change)),
});

/** A policy in which these people have these other keys. */
const policyWith = (
  signers: Partial<Record<Party, OperatorSigner[]>>,
  change: (policy: Policy) => void = () => {},
): PolicyFile =>
  successor(parties.policy(), (policy) => {
    for (const operator of policy.operators) {
      const own = signers[operator.name as Party];
      if (own !== undefined) operator.signers = own;
    }
    change(policy);
  });

const nextOf = (current: PolicyFile, quota = 7): PolicyFile =>
  successor(current, (policy) => {
    policy.tickets.maxQuota = quota;
  });

/** What becomes of a change that paul proposes and anna and axel approve: who approved, or the code and what was seen. */
async function outcome(
  current: PolicyFile,
  anna: StatementSigner,
  axel: StatementSigner = parties.signer('axel'),
): Promise<string> {
  const step = [current, nextOf(current)] as const;
  return verdict(step, [
    await parties.statement('propose', 'paul', step, AT),
    await parties.statement('approve', 'anna', step, AT, {}, anna),
    await parties.statement('approve', 'axel', step, AT, {}, axel),
  ]);
}

function verdict([current, next]: readonly [PolicyFile, PolicyFile], statements: readonly SignedStatement[]): string {
  try {
    const { approvers } = verifyUpdate(current, next, formatStatements(statements), AT);
    return approvers.map(({ name }) => name).join(' ');
  } catch (error) {
    assert.ok(error instanceof KeysteadError, String(error));
    return `${error.code}: ${error.seen}`;
  }
}

for (const [name, ...kind] of [
  ['ed25519', '-t', 'ed25519'],
  ['ecdsa-256', '-t', 'ecdsa', '-b', '256'],
  ['ecdsa-384', '-t', 'ecdsa', '-b', '384'],
  ['rsa-3072', '-t', 'rsa', '-b', '3072'],
] as const) {
  test(`TEST-KEY-23 an approval that ssh-keygen signed with a key of ${name} counts, for this statement alone [ssh-keygen: APPROVAL sign]`, async () => {
    const key = sshKey(name, ...kind);
    const current = policyWith({ anna: [ssh(key.line)] });
    assert.equal(await outcome(current, key.signer()), 'anna axel');
    for (const namespace of ['file', 'git', 'keystead-approval2']) {
      const refused = `approval.signature-invalid: approval.ssh-refused: it is for the namespace ${namespace}`;
      assert.equal(await outcome(current, key.signer(namespace)), refused);
    }
    // A signature of the same person for another policy.
    const [other, step] = [nextOf(current, 9), [current, nextOf(current)] as const];
    const of = await parties.statement('approve', 'anna', [current, other], AT, {}, key.signer());
    const mine = await parties.statement('approve', 'anna', step, AT, {}, key.signer());
    const rest = [
      await parties.statement('propose', 'paul', step, AT),
      await parties.statement('approve', 'axel', step, AT),
    ];
    assert.match(verdict(step, [...rest, of]), /^approval\.other-policy/);
    assert.match(verdict(step, [...rest, { ...mine, signature: of.signature }]), /not one of this message by this key/);
    // And under another kind's name.
    assert.match(verdict(step, [...rest, { ...mine, by: undefined }]), /^approval\.signature-invalid: not one of anna/);
    assert.match(verdict(step, [...rest, { ...mine, by: 'webauthn' }]), /signature-invalid: webauthn\.malformed/);
    assert.match(verdict(step, [...rest, { ...mine, by: 'pkcs11' }]), /^approval\.signature-invalid: not one of anna/);
  });
}

test('an SSH key of another person, or one that the policy does not have, signs for nobody', async () => {
  const [annas, stranger] = [sshKey('annas', '-t', 'ed25519'), sshKey('stranger', '-t', 'ed25519')];
  const current = policyWith({ anna: [ssh(annas.line)] });
  const none = 'approval.signature-invalid: not one of anna';
  assert.equal(await outcome(current, stranger.signer()), none);
  const none2 = 'approval.signature-invalid: not one of axel';
  assert.equal(await outcome(current, annas.signer(), annas.signer()), none2);
});

for (const kind of ['Ed25519', 'P-256'] as const) {
  test(`TEST-KEY-23 a signature by a security key of ${kind} counts as held in hardware when it was touched [ssh-keygen: APPROVAL verify sk]`, async () => {
    const key = new SecurityKey(kind);
    const hardware = (policy: Policy) => {
      policy.quorums['policy-change'].hardware = true;
    };
    const current = policyWith({ anna: [ssh(key.line)], axel: [token('axel')] }, hardware);
    assert.equal(await outcome(current, key.signer(UP), tokenOf('axel')), 'anna axel');
    assert.match(await outcome(current, key.signer(0), tokenOf('axel')), /nobody touched the key/);
    const strict = policyWith({ anna: [ssh(key.line, { verify: true })], axel: [token('axel')] }, hardware);
    assert.match(await outcome(strict, key.signer(UP), tokenOf('axel')), /did not verify who touched it/);
    assert.equal(await outcome(strict, key.signer(UP | UV), tokenOf('axel')), 'anna axel');
    assert.match(
      await outcome(current, key.signer(UP, 'keystead-approval', 'ssh:other'), tokenOf('axel')),
      /not one of this message/,
    );
    // OpenSSH takes what the test's security key makes, so that this is no key of our own invention.
    const [data, file] = [Buffer.from('a statement'), join(dir, `sk-${kind}.sig`)];
    const blob = await key.signer(UP).sign(data);
    const lines = Buffer.from(blob)
      .toString('base64')
      .replace(/(.{70})/g, '$1\n');
    writeFileSync(file, `-----BEGIN SSH SIGNATURE-----\n${lines}\n-----END SSH SIGNATURE-----\n`);
    const said = sshKeygen(['-Y', 'check-novalidate', '-n', 'keystead-approval', '-s', file], data);
    assert.match(said, /Good "keystead-approval" signature with (ED25519-SK|ECDSA-SK) key/);
  });
}

test('TEST-KEY-23 where hardware is asked for, a key in a file, on whatever certificate, approves nothing', async () => {
  const [file, sk, one] = [sshKey('in-a-file', '-t', 'ed25519'), new SecurityKey('Ed25519'), new Authenticator()];
  const all = [ssh(file.line), ssh(sk.line), passkey(one)];
  const current = policyWith({ anna: all, axel: [token('axel')] }, (policy) => {
    policy.quorums['policy-change'].hardware = true;
  });
  const refused = 'approval.hardware-required: a key of anna that may be copied';
  assert.equal(await outcome(current, parties.signer('anna'), tokenOf('axel')), refused);
  assert.equal(await outcome(current, file.signer(), tokenOf('axel')), refused);
  assert.equal(await outcome(current, sk.signer(), tokenOf('axel')), 'anna axel');
  assert.equal(await outcome(current, passkeyOf(one), tokenOf('axel')), 'anna axel');
  // A passkey that says that it may be copied, and one that nobody touched.
  assert.equal(await outcome(current, passkeyOf(one, { flags: 0x0d }), tokenOf('axel')), refused);
  assert.match(await outcome(current, passkeyOf(one, { flags: 0x04 }), tokenOf('axel')), /webauthn\.user-absent/);
  // The policy says of axel's certificate that its key is on a token: it is, whichever way it signs.
  assert.equal(await outcome(current, sk.signer(), parties.signer('axel')), 'anna axel');
  // Of paul, who proposes, it is not asked.
});

test('TEST-KEY-23 a person counts once whatever they sign with, and a key counts once whatever wraps it', async () => {
  const key = generateSoftwareKey('Ed25519');
  const signer = softwareSigner('Ed25519', key.pkcs8);
  const line = `ssh-ed25519 ${toBase64(sshKeyBlob(key.spki))}`;
  const sk = new SecurityKey('P-256');
  // anna twice, with two keys of hers.
  const current = policyWith({ anna: [ssh(sk.line)] });
  const step = [current, nextOf(current)] as const;
  const statements = [
    await parties.statement('propose', 'paul', step, AT),
    await parties.statement('approve', 'anna', step, AT, {}, sk.signer()),
    await parties.statement('approve', 'anna', step, AT),
  ];
  assert.equal(verdict(step, statements), 'approval.duplicate: anna');
  // One key as anna's SSH key and as the key of axel's certificate: no policy is valid with it,
  const twice = (policy: Policy) => {
    for (const operator of policy.operators) {
      if (operator.name === 'anna') operator.signers = [ssh(line)];
      if (operator.name === 'axel') operator.spki = toBase64(key.spki);
    }
  };
  const spoilt = structuredClone(parties.policy().policy);
  twice(spoilt);
  assert.throws(() => checkPolicy(spoilt), { code: 'policy.operator-duplicate' });
  // and if one were, the two would be one.
  const data = Buffer.from('keystead policy statement v1\n{}');
  const [asSsh, asSpki] = [{ kind: 'ssh', key: line } as const, { name: 'axel', spki: toBase64(key.spki) }];
  const signature = await signer.sign(data);
  const plain = provenKey(asSpki, ['Ed25519'], data, { signature });
  const held = provenKey({ ...asSpki, signers: [asSsh, { kind: 'pkcs11', spki: asSpki.spki }] }, ['Ed25519'], data, {
    by: 'pkcs11',
    signature,
  });
  assert.equal(plain?.key, held?.key);
  assert.deepEqual([plain?.hardware, held?.hardware], [false, true]);
  // What is said of a key holds however it signs, in whichever order the policy says it.
  const lists: OperatorSigner[][] = [
    [asSsh, { kind: 'pkcs11', spki: asSpki.spki }],
    [{ kind: 'pkcs11', spki: asSpki.spki }, asSsh],
  ];
  for (const signers of lists) {
    assert.equal(provenKey({ ...asSpki, signers }, ['Ed25519'], data, { signature })?.hardware, true);
  }
});

test('a key that stands under two names signs a change of policy once, though no such policy is valid', async () => {
  const sk = new SecurityKey('Ed25519');
  const valid = policyWith({ anna: [ssh(sk.line)] });
  const next = nextOf(valid);
  const policy = structuredClone(valid.policy);
  signs('axel', ssh(sk.line))(policy);
  const step = [{ ...valid, policy }, next] as const;
  const statements = [
    await parties.statement('propose', 'paul', step, AT),
    await parties.statement('approve', 'anna', step, AT, {}, sk.signer()),
    await parties.statement('approve', 'axel', step, AT, {}, sk.signer()),
  ];
  assert.equal(verdict(step, statements), 'approval.duplicate: axel');
});

test('TEST-KEY-23 an agreement counts the SSH key and the certificate of two names as one signer', async () => {
  const sk = new SecurityKey('Ed25519');
  const policy = structuredClone(policyWith({ anna: [ssh(sk.line)] }).policy);
  // Not a policy that a check would let pass: keyd's counting must hold without it.
  for (const operator of policy.operators) if (operator.name === 'axel') operator.signers = [ssh(sk.line)];
  const order: CaRevocationOrder = {
    id: 'o-1',
    ca: 'operational',
    spkiSha256: 'a'.repeat(64),
    reason: 'cACompromise',
  };
  const times = { signedAt: seconds(AT.getTime()), expiresAt: seconds(AT.getTime() + 3_600_000) };
  const say = (act: 'propose' | 'approve', name: Party, role: 'ca-operator' | 'approver', by: StatementSigner) =>
    signCaRevocation({ act, order, proposer: 'olga', role, ...times }, name, by);
  const proposal = await say('propose', 'olga', 'ca-operator', parties.signer('olga'));
  const anna = await say('approve', 'anna', 'approver', sk.signer());
  const axel = await say('approve', 'axel', 'approver', sk.signer());
  const own = await say('approve', 'axel', 'approver', parties.signer('axel'));
  assert.throws(() => verifyCaRevocation([proposal, anna, axel], policy, AT), { code: 'revocation-request.duplicate' });
  assert.deepEqual(verifyCaRevocation([proposal, anna, own], policy, AT).approvers, ['anna', 'axel']);
  policy.quorums['ca-revocation'].hardware = true;
  assert.throws(() => verifyCaRevocation([proposal, anna, own], policy, AT), { code: 'approval.hardware-required' });
  // An approver who lost the key between approving and carrying out.
  for (const operator of policy.operators) if (operator.name === 'anna') operator.signers = undefined;
  assert.throws(() => verifyCaRevocation([proposal, anna, own], policy, AT), {
    code: 'revocation-request.signature-invalid',
  });
});

test('an order about a key may be signed by a passkey, and says so', async () => {
  const one = new Authenticator('Ed25519');
  const { policy } = policyWith({ olga: [passkey(one)] });
  const draft = {
    spkiSha256: 'b'.repeat(64) as never,
    change: 'suspend',
    after: 0,
    reason: 'inquiry',
    at: AT,
  } as const;
  const text = await signKeyOrder(draft, 'olga', passkeyOf(one));
  assert.equal(JSON.parse(text).by, 'webauthn');
  assert.equal(verifyKeyOrder(text, policy, AT).signer, 'olga');
  assert.throws(() => verifyKeyOrder(text.replace('"webauthn"', '"ssh"'), policy, AT), {
    code: 'key-order.signature-invalid',
  });
  assert.throws(() => verifyKeyOrder(text.replace('"webauthn"', '"pgp"'), policy, AT), { code: 'key-order.malformed' });
});

test('a policy without other keys is what it was, and one with them says which, before and after', () => {
  const [sk, one, file] = [new SecurityKey('Ed25519'), new Authenticator(), sshKey('told', '-t', 'ed25519')];
  const before = parties.policy();
  assert.equal('signers' in (before.policy.operators[0] ?? {}), false);
  const current = policyWith({ anna: [ssh(sk.line), passkey(one), ssh(file.line)] });
  const document = renderMarkdown(policyDocument(current, []));
  assert.match(document, /Keys by which people sign/);
  assert.match(document, /anna \| SSH key in a security key [0-9a-f]{16} \| yes/);
  assert.match(document, /anna \| passkey of keystead\.example [0-9a-f]{16} \| yes/);
  assert.match(document, /anna \| SSH key [0-9a-f]{16} \| no/);
  assert.doesNotMatch(renderMarkdown(policyDocument(before, [])), /Keys by which people sign/);
  const told = policyDifferences(before.policy, current.policy).map(({ text }) => text);
  assert.equal(told.filter((text) => text.startsWith('also signs by')).length, 3);
  const back = policyDifferences(current.policy, before.policy).map(({ text }) => text);
  assert.equal(back.filter((text) => text.startsWith('no longer signs by')).length, 3);
  const asked = policyWith({ anna: [ssh(sk.line)], axel: [token('axel')] }, (policy) => {
    policy.quorums['policy-change'].hardware = true;
  });
  const strict = policyDifferences(before.policy, asked.policy);
  assert.ok(strict.some(({ field }) => field === 'quorums.policy-change.hardware'));
});

/** Policies that say what nobody can do, or what nobody sees to. */
const UNSOUND: readonly (readonly [what: string, code: string, change: (policy: Policy) => void])[] = [
  ['a line that is no SSH key', 'policy.malformed', signs('anna', ssh('ssh-ed25519 AAAA'))],
  [
    'an SSH key of DSA',
    'policy.malformed',
    signs('anna', ssh(`ssh-dss ${Buffer.from('\0\0\0\x07ssh-dss').toString('base64')}`)),
  ],
  ['verify of a key in a file', 'policy.malformed', signs('anna', ssh(lineOf(), { verify: true }))],
  [
    'a passkey for another host',
    'policy.malformed',
    signs('anna', { ...passkey(new Authenticator()), rpId: 'other.example' } as OperatorSigner),
  ],
  [
    'a passkey in plain HTTP',
    'policy.malformed',
    signs('anna', { ...passkey(new Authenticator()), origins: ['http://keystead.example'] } as OperatorSigner),
  ],
  [
    'an origin with a path',
    'policy.malformed',
    signs('anna', { ...passkey(new Authenticator()), origins: ['https://keystead.example/'] } as OperatorSigner),
  ],
  [
    'a passkey without a key',
    'policy.malformed',
    signs('anna', { ...passkey(new Authenticator()), publicKey: 'oQ' } as OperatorSigner),
  ],
  [
    'a token with a key of the small order',
    'policy.signer-unfit',
    signs('anna', { kind: 'pkcs11', spki: toBase64(smallOrder()) }),
  ],
  [
    'one passkey twice',
    'policy.operator-duplicate',
    (policy) => {
      const one = passkey(new Authenticator());
      signs('anna', one, one)(policy);
    },
  ],
  [
    'one security key of two people',
    'policy.operator-duplicate',
    (policy) => {
      const { line } = new SecurityKey('P-256');
      signs('anna', ssh(line))(policy);
      signs('axel', ssh(line))(policy);
    },
  ],
  [
    'hardware of those who witness',
    'policy.hardware-unenforced',
    (policy) => {
      policy.quorums['ceremony-witnesses'].hardware = true;
    },
  ],
  [
    'hardware of people who have none',
    'policy.quorum-impossible',
    (policy) => {
      policy.quorums['firmware-signing'].hardware = true;
    },
  ],
  [
    'hardware of one where two are needed',
    'policy.quorum-impossible',
    (policy) => {
      policy.quorums['policy-change'].hardware = true;
      signs('anna', token('anna'))(policy);
    },
  ],
];

function signs(name: Party, ...signers: OperatorSigner[]): (policy: Policy) => void {
  return (policy) => {
    for (const operator of policy.operators) if (operator.name === name) operator.signers = signers;
  };
}

function lineOf(): string {
  return `ssh-ed25519 ${toBase64(sshKeyBlob(generateSoftwareKey('Ed25519').spki))}`;
}

/** An Ed25519 key with which anybody can sign: the point (0, 1). */
function smallOrder(): Uint8Array {
  return Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Uint8Array.of(1), new Uint8Array(31)]);
}

for (const [what, code, change] of UNSOUND) {
  test(`a policy with ${what} is refused with ${code}`, () => {
    const policy = structuredClone(parties.policy().policy);
    change(policy);
    assert.throws(() => checkPolicy(policy), { code });
  });
}

test('whatever stands for a signature of any kind, the answer is a key or a refusal of its own', async () => {
  const [sk, one] = [new SecurityKey('Ed25519'), new Authenticator()];
  const { policy } = policyWith({ anna: [ssh(sk.line), passkey(one), token('anna')] });
  const anna = policy.operators.find(({ name }) => name === 'anna');
  assert.ok(anna !== undefined);
  const data = Buffer.from('keystead policy statement v1\n{}');
  const seeds = {
    ssh: await sk.signer().sign(data),
    webauthn: await passkeyOf(one).sign(data),
    pkcs11: await tokenOf('anna').sign(data),
  };
  for (const [by, seed] of Object.entries(seeds)) {
    assert.notEqual(
      provenKey(anna, policy.algorithms, data, { by: by as keyof typeof seeds, signature: seed }),
      undefined,
    );
  }
  const spoilt = fc
    .tuple(fc.constantFrom(...Object.values(seeds)), fc.nat(700), fc.uint8Array({ maxLength: 6 }), fc.nat(8))
    .map(([seed, at, bytes, cut]) => {
      const copy = Uint8Array.from(seed.subarray(0, seed.length - cut));
      copy.set(bytes.subarray(0, Math.max(0, copy.length - at)), Math.min(at, copy.length));
      return copy;
    });
  fc.assert(
    fc.property(
      fc.constantFrom('ssh', 'webauthn', 'pkcs11', undefined),
      fc.oneof(spoilt, fc.uint8Array({ maxLength: 400 })),
      (by, signature) => {
        try {
          const proven = provenKey(anna, policy.algorithms, data, { by, signature });
          const good = Object.values(seeds).some((seed) => Buffer.compare(seed, signature) === 0);
          assert.ok(proven === undefined || good || by === 'ssh' || by === 'webauthn');
        } catch (error) {
          assert.ok(error instanceof KeysteadError, String(error));
          assert.match(error.code, /^(ssh|webauthn|key|approval)\./);
        }
      },
    ),
    { numRuns: 1500 },
  );
});

test('what was written out to be signed elsewhere is completed for the same statement only', async () => {
  const current = policyWith({});
  const step = [current, nextOf(current)] as const;
  let bytes = new Uint8Array();
  const keep: StatementSigner = {
    sign: async (data) => {
      bytes = Uint8Array.from(data);
      return parties.signer('anna').sign(data);
    },
  };
  await parties.statement('approve', 'anna', step, AT, {}, keep);
  const later = new Date(AT.getTime() + 600_000);
  const held: StatementSigner = { earlier: bytes, sign: (data) => parties.signer('anna').sign(data) };
  const completed = await parties.statement('approve', 'anna', step, later, {}, held);
  assert.equal(completed.statement.signedAt, seconds(AT.getTime()));
  const rest = [
    await parties.statement('propose', 'paul', step, AT),
    await parties.statement('approve', 'axel', step, AT),
  ];
  assert.equal(verdict(step, [...rest, completed]), 'axel anna');
  const differ = { code: 'approval.bytes-differ' };
  await assert.rejects(parties.statement('propose', 'anna', step, later, {}, held), differ);
  await assert.rejects(parties.statement('approve', 'axel', step, later, {}, held), differ);
  await assert.rejects(parties.statement('approve', 'anna', [current, nextOf(current, 8)], later, {}, held), differ);
  for (const earlier of [new Uint8Array(), bytes.subarray(0, 40), Buffer.from('keystead policy statement v1\n[]')]) {
    await assert.rejects(parties.statement('approve', 'anna', step, later, {}, { ...held, earlier }), differ);
  }
  // Of the same statement in another encoding.
  const spaced = Buffer.concat([bytes, Buffer.from(' ')]);
  await assert.rejects(parties.statement('approve', 'anna', step, later, {}, { ...held, earlier: spaced }), {
    code: 'approval.malformed',
  });
});

test('a policy with keys of every kind is written and read back as it is', () => {
  const file = policyWith({
    anna: [ssh(new SecurityKey('P-256').line, { verify: true }), passkey(new Authenticator('Ed25519')), token('anna')],
  });
  assert.deepEqual(fileOf(file.policy).policy, file.policy);
});

test('a file that several people sign is signed elsewhere as it is, or not at all', async () => {
  const { policy } = policyWith({});
  const draft = (id: string) =>
    draftTicket({
      id,
      model: 'KS-PUMP-1',
      quota: 2,
      notBefore: AT.toISOString(),
      notAfter: new Date(AT.getTime() + 86_400_000).toISOString(),
      lines: ['line-1'],
      deviceIds: { prefix: 'KS-', from: 1, to: 2, width: 4 },
      profile: 'idevid',
    });
  let bytes = new Uint8Array();
  const keep: StatementSigner = {
    sign: async (data) => {
      bytes = Uint8Array.from(data);
      return parties.signer('olga').sign(data);
    },
  };
  await addTicketSignature(draft('t-1'), 'olga', keep);
  const held: StatementSigner = { earlier: bytes, by: 'pkcs11', sign: (data) => parties.signer('olga').sign(data) };
  const signed = await addTicketSignature(draft('t-1'), 'olga', held);
  const both = await addTicketSignature(signed, 'paul', parties.signer('paul'));
  assert.deepEqual(signersOf(verifyTicket(both, policy)), ['olga', 'paul']);
  await assert.rejects(addTicketSignature(draft('t-2'), 'olga', held), { code: 'approval.bytes-differ' });
  // Where the policy wants hardware of those who sign tickets, a signature of each is asked for it.
  const strict = structuredClone(policy);
  strict.quorums['batch-ticket'] = { signatures: 2, roles: ['policy-administrator', 'ca-operator'], hardware: true };
  assert.throws(() => verifyTicket(both, strict), { code: 'approval.hardware-required' });
  signs('olga', token('olga'))(strict);
  signs('paul', token('paul'))(strict);
  assert.deepEqual(signersOf(verifyTicket(both, strict)), ['olga', 'paul']);
});

test('an order that was asked for keeps the id under which it was written out, and is approved under no other', async () => {
  const order = (id: string): CaRevocationOrder => ({
    id,
    ca: 'operational',
    spkiSha256: 'a'.repeat(64),
    reason: 'cACompromise',
  });
  const times = { signedAt: seconds(AT.getTime()), expiresAt: seconds(AT.getTime() + 3_600_000) };
  const say = (act: 'propose' | 'approve', id: string, by: StatementSigner) =>
    signCaRevocation({ act, order: order(id), proposer: 'olga', role: 'approver', ...times }, 'anna', by);
  for (const act of ['propose', 'approve'] as const) {
    let bytes = new Uint8Array();
    const keep: StatementSigner = {
      sign: async (data) => {
        bytes = Uint8Array.from(data);
        return parties.signer('anna').sign(data);
      },
    };
    await say(act, 'o-1', keep);
    const held: StatementSigner = { earlier: bytes, sign: keep.sign };
    const again = say(act, 'o-2', held);
    if (act === 'approve') await assert.rejects(again, { code: 'approval.bytes-differ', field: 'order' });
    else assert.match(Buffer.from(JSON.parse(await again).payload, 'base64url').toString(), /"id":"o-1"/);
  }
});

test('TEST-KEY-23 the approvals of production firmware take hardware where the policy says so, of the product or of all', () => {
  const scope = { product: 'pump', environment: 'production', rollback: false } as const;
  const line = { keys: ['k'], formats: ['mcuboot' as const], approvals: 2, roles: ['approver' as const] };
  const back = { approvals: 3, roles: ['approver' as const] };
  const quorum = (own: object, rollback: object, all?: true, more: object = {}) =>
    firmwareQuorum(
      {
        firmware: {
          products: [
            {
              product: 'pump',
              environments: {
                production: { ...line, ...own, rollback: { ...back, ...rollback } },
                development: { ...line, ...own },
              },
            },
          ],
          keys: [],
        },
        quorums: { 'firmware-signing': { hardware: all } },
      },
      { ...scope, ...more },
    ).hardware;
  assert.equal(quorum({}, {}), false);
  assert.equal(quorum({ hardware: true }, {}), true);
  assert.equal(quorum({}, {}, true), true);
  assert.equal(quorum({}, {}, true, { environment: 'development' }), false);
  assert.equal(quorum({}, { hardware: true }), false);
  assert.equal(quorum({}, { hardware: true }, undefined, { rollback: true }), true);
  // What goes back never takes less than what goes up.
  assert.equal(quorum({ hardware: true }, {}, undefined, { rollback: true }), true);
  assert.equal(quorum({}, {}, true, { rollback: true }), true);
});
