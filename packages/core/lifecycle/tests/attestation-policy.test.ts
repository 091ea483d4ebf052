import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { toBase64 } from '../../bytes/index.ts';
import { KeysteadError } from '../../errors/index.ts';
import { type Policy, parsePolicy, policyDifferences, policyDocument, renderMarkdown } from '../index.ts';
import { PolicyParties, successor } from './policy-parties.ts';

const dir = mkdtempSync(join(tmpdir(), 'keystead-makers-'));
after(() => rmSync(dir, { recursive: true }));

/** A certificate by openssl, as a maker's root or another one: base64 of its DER. */
function certificate(name: string, ca: boolean): string {
  const out = join(dir, `${name}.der`);
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-noenc', '-days', '30'],
      ...['-keyout', '/dev/null', '-subj', `/CN=${name}`, '-outform', 'DER', '-out', out],
      ...['-addext', `basicConstraints=critical,CA:${ca ? 'TRUE' : 'FALSE'}`],
    ],
    { stdio: 'ignore' },
  );
  return toBase64(readFileSync(out));
}
const [acme, beta, leaf] = [
  certificate('Acme TPM Root', true),
  certificate('Beta TPM Root', true),
  certificate('x', false),
];
const key = 'ab'.repeat(32);

const parties = new PolicyParties();
const plain = parties.policy();
type Section = NonNullable<Policy['attestation']>;
const withMakers = (attestation: Section | undefined) => (policy: Policy) => {
  policy.attestation = attestation;
};

test('a policy without the section stays valid, and one with makers is read as it is written', () => {
  assert.equal(plain.policy.attestation, undefined);
  const section: Section = { required: true, anchors: [acme], intermediates: [beta], endorsementKeys: [key] };
  const { bytes } = successor(plain, withMakers(section));
  assert.deepEqual(parsePolicy(bytes).attestation, section);
});

test('a maker is named by the certificate of a CA, and what is demanded can be shown', () => {
  const wrong: readonly (readonly [Section, string])[] = [
    [{ required: false, anchors: [leaf] }, 'attestation.anchors[0]'],
    [{ required: false, anchors: [acme], intermediates: [beta, 'AAAA'] }, 'attestation.intermediates[1]'],
    [{ required: true, anchors: [] }, 'attestation.required'],
  ];
  for (const [section, field] of wrong) {
    assert.throws(
      () => parsePolicy(Buffer.from(JSON.stringify({ ...plain.policy, attestation: section }))),
      (error) => {
        assert.ok(error instanceof KeysteadError);
        assert.deepEqual([error.code, error.field], ['policy.attestation-unsound', field]);
        return true;
      },
    );
  }
  for (const section of [
    { required: false, anchors: ['%%'] },
    { required: false, anchors: [], endorsementKeys: ['AB'] },
    { anchors: [] },
    { required: false, anchors: [], any: true },
  ]) {
    const bytes = Buffer.from(JSON.stringify({ ...plain.policy, attestation: section }));
    assert.throws(() => parsePolicy(bytes), { code: 'policy.malformed' });
  }
});

/** What a change says, worst first. */
function said(from: Section | undefined, to: Section | undefined): string[] {
  const [before, after] = [from, to].map((section) => ({ ...plain.policy, attestation: section }));
  assert.ok(before !== undefined && after !== undefined);
  return policyDifferences(before, { ...after, version: 2 })
    .filter(({ field }) => field !== 'version')
    .map(({ severity, field, text }) => `${severity} ${field}: ${text}`);
}

test('a change of who is believed is told: demands first, then makers by name, then keys by number', () => {
  const one: Section = { required: false, anchors: [acme] };
  assert.deepEqual(said(undefined, { ...one, required: true }), [
    'breaks attestation.required: units that do not show that their key is in a TPM are refused from then on',
    'warns attestation.anchors: new: CN=Acme TPM Root: every TPM under them is believed from then on',
  ]);
  assert.deepEqual(said(one, { required: false, anchors: [beta], intermediates: [acme], endorsementKeys: [key] }), [
    'warns attestation.anchors: new: CN=Beta TPM Root: every TPM under them is believed from then on',
    'warns attestation.anchors: gone: CN=Acme TPM Root: TPMs that lead to no other anchor are refused',
    'warns attestation.intermediates: new: CN=Acme TPM Root: they lead to an anchor, and TPMs under them are believed',
    'warns attestation.endorsementKeys: 1 endorsement key more believed without a certificate of a maker',
  ]);
  assert.deepEqual(said({ ...one, required: true, endorsementKeys: [key] }, undefined), [
    'breaks attestation: no TPM is believed any more: units whose tickets demand one are refused',
    'warns attestation.required: units are provisioned without a TPM, but for tickets that demand one',
    'warns attestation.anchors: gone: CN=Acme TPM Root: TPMs that lead to no other anchor are refused',
    'warns attestation.endorsementKeys: 1 endorsement key fewer believed without a certificate: refused',
  ]);
  assert.deepEqual(said(one, one), []);
});

test('the document of a policy says whose TPMs are believed, and whether every unit must have one', () => {
  const documentOf = (section: Section | undefined): string =>
    renderMarkdown(policyDocument(successor(plain, withMakers(section)), []));
  assert.match(documentOf(undefined), /No TPM is believed: a record says that possession of the key was proven/);
  const makers = { required: true, anchors: [acme, beta], endorsementKeys: [key] };
  assert.match(documentOf(makers), /Every unit must show .* of: CN=Acme TPM Root; CN=Beta TPM Root; and 1 endorsement/);
  assert.match(documentOf({ ...makers, required: false }), /must where its ticket demands it/);
});
