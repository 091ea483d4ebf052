import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import crypto, { type KeyObject } from 'node:crypto';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { fromPem } from '@keystead/core/bytes';
import { readChain } from '@keystead/core/lifecycle';
import { formatName, readCertificate } from '@keystead/core/x509';
import { fingerprintRows } from '../../files/fingerprint.ts';
import type { CeremonyResult } from '../options.ts';
import { PASSPHRASE, Rehearsal } from './rehearsal.ts';

const DOC = fileURLToPath(new URL('../../../../docs/ceremony.md', import.meta.url));

/** Every private key that is generated in this process, so that the test knows what must not be found. */
const generated: KeyObject[] = [];
const generateKeyPairSync = crypto.generateKeyPairSync;
Object.assign(crypto, {
  generateKeyPairSync(...args: unknown[]) {
    const pair = Reflect.apply(generateKeyPairSync, crypto, args) as { privateKey: KeyObject };
    generated.push(pair.privateKey);
    return pair;
  },
});
syncBuiltinESMExports();

let rehearsal: Rehearsal;
let result: CeremonyResult;
before(async () => {
  rehearsal = await Rehearsal.make();
  generated.length = 0;
  result = await rehearsal.run();
});
after(() => rehearsal.remove());

const out = (name = ''): string => join(rehearsal.layout.ceremony, name);
const openssl = (...args: string[]): string => execFileSync('openssl', args, { encoding: 'utf8', stdio: 'pipe' });
const certificate = (role: string) => {
  const [der] = fromPem('CERTIFICATE', readFileSync(out(`${role}.pem`), 'latin1'));
  assert.ok(der);
  return readCertificate(der);
};

/** The commands of docs/ceremony.md, as they stand there. */
function documentedCommands(): string {
  const [, part] = /<!-- verify: begin -->([\s\S]*)<!-- verify: end -->/.exec(readFileSync(DOC, 'utf8')) ?? [];
  const blocks = [...(part ?? '').matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? '');
  assert.ok(blocks.length >= 5);
  return blocks.join('\n');
}

/** Runs the documented commands on a copy of the outputs in which `change` may alter a file. */
function verifyByDocument(change: (dir: string) => void = () => {}) {
  const dir = mkdtempSync(join(rehearsal.dir, 'copy-'));
  cpSync(out(), dir, { recursive: true });
  change(dir);
  return spawnSync('sh', ['-euc', documentedCommands()], {
    cwd: dir,
    encoding: 'utf8',
    env: { ...process.env, TMPDIR: dir },
  });
}

/** Puts other lines in the place of those of the transcript. */
const rewrite = (edit: (lines: string[]) => string[]) => (dir: string) => {
  const path = join(dir, 'transcript.jsonl');
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  writeFileSync(path, `${edit(lines).join('\n')}\n`);
};

test('TEST-KEY-02 the commands of docs/ceremony.md verify a ceremony with openssl and sha256sum alone', () => {
  const run = verifyByDocument();
  assert.equal(run.status, 0, run.stdout + run.stderr);
  assert.match(run.stdout, /Verified OK/);
  for (const name of ['bundle.json', 'policy.json', 'root.pem', 'signing-root.crl', 'transcript-signer.pem']) {
    assert.ok(run.stdout.includes(`${name}: OK`), name);
  }
  for (const ca of ['manufacturing', 'operational', 'server', 'operator'])
    assert.ok(run.stdout.includes(`${ca}.pem: OK`));
});

test('TEST-KEY-02 the documented commands catch an altered, dropped, added or reordered line of the transcript', () => {
  const cases: Record<string, (lines: string[]) => string[]> = {
    altered: (lines) => lines.map((line) => line.replace('Grace Hopper', 'Grace Kelly')),
    'dropped in the middle': (lines) => lines.toSpliced(5, 1),
    'dropped at the end': (lines) => lines.slice(0, -1),
    'dropped at the start': (lines) => lines.slice(1),
    reordered: (lines) => lines.toSpliced(4, 2, lines[5] ?? '', lines[4] ?? ''),
    repeated: (lines) => lines.toSpliced(4, 0, lines[4] ?? ''),
  };
  for (const [name, edit] of Object.entries(cases)) {
    assert.notEqual(verifyByDocument(rewrite(edit)).status, 0, name);
  }
});

test('the chain of hashes alone names the line, also when the signature is not looked at', () => {
  const chainOnly = documentedCommands().slice(
    documentedCommands().indexOf('n=0'),
    documentedCommands().indexOf('tail -n 1 transcript.jsonl | grep'),
  );
  const dir = mkdtempSync(join(rehearsal.dir, 'chain-'));
  cpSync(out(), dir, { recursive: true });
  rewrite((lines) => lines.toSpliced(4, 1))(dir);
  const run = spawnSync('sh', ['-euc', chainOnly], { cwd: dir, encoding: 'utf8' });
  assert.equal(run.status, 1);
  assert.match(run.stdout, /line 5 does not follow from the one before/);
});

test('the documented commands catch another file in the place of one that the transcript lists', () => {
  for (const name of ['policy.json', 'manufacturing.pem', 'root.crl', 'bundle.json', 'script.md', 'request.json']) {
    const run = verifyByDocument((dir) => {
      const bytes = readFileSync(join(dir, name));
      bytes[bytes.length - 3] = (bytes[bytes.length - 3] ?? 0) ^ 1;
      writeFileSync(join(dir, name), bytes);
    });
    assert.notEqual(run.status, 0, name);
  }
});

test('openssl verifies each certificate strictly under its root, and the root CRL covers the intermediates', () => {
  const pemCrl = join(rehearsal.dir, 'root.crl.pem');
  openssl('crl', '-inform', 'DER', '-in', out('root.crl'), '-out', pemCrl);
  for (const ca of ['manufacturing', 'operational', 'server', 'operator']) {
    const answer = openssl(
      'verify',
      '-x509_strict',
      '-crl_check',
      '-CRLfile',
      pemCrl,
      '-CAfile',
      out('root.pem'),
      out(`${ca}.pem`),
    );
    assert.match(answer, /: OK/);
  }
  // The signing root is a tree of its own: nothing of the one is trusted in the other.
  assert.throws(() => openssl('verify', '-CAfile', out('signing-root.pem'), out('server.pem')));
  assert.match(
    openssl('crl', '-inform', 'DER', '-in', out('signing-root.crl'), '-noout', '-crlnumber'),
    /crlNumber=(0x)?0?1\b/,
  );
});

test('the hierarchy has the shape of the policy: P-384 roots of 20 years, P-256 CAs that may issue no further CA', () => {
  for (const role of ['root', 'signing-root']) {
    const { keyAlgorithm, signatureAlgorithm, ca, notBefore, notAfter } = certificate(role);
    assert.deepEqual(
      { keyAlgorithm, signatureAlgorithm, ca },
      { keyAlgorithm: 'P-384', signatureAlgorithm: 'ecdsa-with-SHA384', ca: true },
    );
    assert.equal(notAfter.getTime() - notBefore.getTime(), (20 * 365 * 24 + 1) * 3_600_000);
  }
  for (const role of ['manufacturing', 'operational', 'server', 'operator']) {
    const { keyAlgorithm, pathLength, notAfter, crlUrls, indirectCrls, ocspUrls } = certificate(role);
    assert.deepEqual([keyAlgorithm, pathLength, ocspUrls], ['P-256', 0, []]);
    assert.deepEqual(crlUrls, []);
    assert.deepEqual(
      indirectCrls.map(({ issuer, urls }) => [formatName(issuer), urls]),
      [['CN=Keystead Root CRL signer,O=Keystead', ['http://localhost:8080/crl/root-indirect.crl']]],
    );
    assert.ok(notAfter <= certificate('root').notAfter);
  }
});

test('each step is printed for people with its number, and each fingerprint in hex and in words', () => {
  const text = rehearsal.printed.join('\n');
  for (let step = 1; step <= 11; step += 1) assert.ok(text.includes(`Step ${step} of 11. `), `step ${step}`);
  for (const hash of [result.rootSha256, result.signingRootSha256, result.transcriptSha256]) {
    assert.ok(text.includes(fingerprintRows(hash, '     ')), hash);
  }
  assert.ok(text.includes('The one-time key is wiped'));
});

test('the transcript names software, policy, witnesses, every key, and every file with its hash', () => {
  const lines = readChain(readFileSync(out('transcript.jsonl')));
  assert.deepEqual(
    lines.map((line) => line.step).filter((step) => step !== 'confirmed'),
    [
      'begin',
      'network',
      'requests',
      'root-key',
      'root-key',
      ...Array<string>(5).fill('certificate'),
      'crl',
      'crl',
      'transcript-key',
      'network-after',
      'end',
    ],
  );
  assert.deepEqual(lines[0]?.detail.witnesses, ['Ada Lovelace', 'Grace Hopper']);
  assert.equal(lines[0]?.detail.attended, false);
  // Each step as it was shown, with the keys in words and hex: what nobody confirmed is not said to be confirmed.
  const shown = lines.filter(({ step }) => step === 'confirmed');
  assert.deepEqual(
    shown.map(({ detail }) => [detail.script, detail.by]),
    Array.from({ length: 11 }, (_, index) => [`${index + 1} of 11`, {}]),
  );
  const outputs = Object.keys(lines.at(-1)?.detail.outputs ?? {});
  const closing = ['transcript.jsonl', 'transcript.sig'];
  assert.deepEqual([...outputs, ...closing].sort(), readdirSync(out()).sort());
});

test('no private key and no passphrase stands in any file or line that the ceremony leaves', () => {
  // Root, signing root, transcript key: what was generated while the ceremony ran.
  assert.equal(generated.length, 3);
  const files = [out(), rehearsal.layout.offline].flatMap((dir) => readdirSync(dir).map((name) => join(dir, name)));
  // PEM breaks its base64 into lines, and JSON writes the breaks as \\n: both are taken out for the search.
  const joined = (content: Buffer) => Buffer.from(content.toString('latin1').replace(/\\n|\s/g, ''), 'latin1');
  const read = [...files.map((path) => readFileSync(path)), Buffer.from(rehearsal.printed.join('\n'))];
  const texts = read.map((content) => Buffer.concat([content, joined(content)]));
  const secrets = [Buffer.from(PASSPHRASE), ...generated.map(scalarOf)];
  for (const secret of secrets) {
    for (const [index, content] of texts.entries()) {
      for (const form of formsOf(secret))
        assert.equal(content.includes(form), false, files[index] ?? 'the printed lines');
    }
  }
  for (const content of texts) assert.equal(/PRIVATE KEY/.test(content.toString('latin1')), false);
});

test('the scan above would find a key, in each of its forms', () => {
  const [key] = generated;
  assert.ok(key);
  const scalar = scalarOf(key);
  const holders = [
    key.export({ format: 'der', type: 'pkcs8' }),
    key.export({ format: 'der', type: 'sec1' }),
    Buffer.from(key.export({ format: 'pem', type: 'pkcs8' }).toString().replaceAll('\n', '')),
    Buffer.from(key.export({ format: 'pem', type: 'sec1' }).toString().replaceAll('\n', '')),
    Buffer.from(JSON.stringify(key.export({ format: 'jwk' }))),
  ];
  for (const holder of holders) assert.ok(formsOf(scalar).some((form) => holder.includes(form)));
});

test('the sealed roots are readable by their owner alone, and nothing unfinished is left', () => {
  assert.deepEqual(readdirSync(rehearsal.layout.offline).sort(), ['root.sealed', 'signing-root.sealed']);
  for (const name of readdirSync(rehearsal.layout.offline)) {
    assert.equal(statSync(join(rehearsal.layout.offline, name)).mode & 0o777, 0o600);
  }
  assert.equal(statSync(rehearsal.layout.offline).mode & 0o777, 0o700);
});

test('a second ceremony does not overwrite what the first one made', async () => {
  const before = readFileSync(join(rehearsal.layout.offline, 'root.sealed'));
  const elsewhere = join(rehearsal.dir, 'other-out');
  await assert.rejects(rehearsal.run({ out: elsewhere }), { code: 'ceremony.already-held', field: 'offline' });
  assert.equal(existsSync(elsewhere), false);
  await assert.rejects(rehearsal.run({ offline: join(rehearsal.dir, 'other') }), {
    code: 'ceremony.already-held',
    field: 'out',
  });
  assert.deepEqual(readFileSync(join(rehearsal.layout.offline, 'root.sealed')), before);
  assert.equal(existsSync(join(rehearsal.dir, 'other')), false);
});

/** The private scalar of an EC key, big-endian, in its full length. */
function scalarOf(key: KeyObject): Buffer {
  const { d } = key.export({ format: 'jwk' });
  assert.ok(d);
  return Buffer.from(d, 'base64url');
}

/** A secret as it may stand in a file: as it is, as hex, and as base64 at each of the three alignments. */
function formsOf(secret: Buffer): Buffer[] {
  const base64 = [0, 1, 2].flatMap((shift) => {
    const text = Buffer.concat([Buffer.alloc(shift), secret])
      .toString('base64')
      .replace(/=+$/, '');
    // The first and last characters share bits with the neighbours; those between are the secret's alone.
    const middle = text.slice(4, -4);
    return [middle, middle.replaceAll('+', '-').replaceAll('/', '_')];
  });
  const hex = secret.toString('hex');
  return [secret, ...[...base64, hex, hex.toUpperCase()].map((text) => Buffer.from(text))];
}
