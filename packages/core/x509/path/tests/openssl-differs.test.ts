import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import fc from 'fast-check';
import { toPem } from '../../../bytes/index.ts';
import {
  type CertificateInfo,
  EXTENSIONS,
  findExtension,
  nameKey,
  type RevocationList,
  readDistributionPoints,
} from '../../index.ts';
import { NOW as FORGED_NOW } from '../../tests/forge.ts';
import { checkPath } from '../check.ts';
import { ANCHOR, BAG, CASES, CERTIFICATES, judge, LISTS, NOW, type PkitsCase, pkitsBytes } from './pkits.ts';
import { randomHierarchy } from './random-hierarchy.ts';

/** The same question to Keystead and to `openssl verify`: where they differ, the reason stands here. */
const dir = mkdtempSync(join(tmpdir(), 'keystead-differs-'));
after(() => rmSync(dir, { recursive: true, force: true }));

const pemOf = (certificates: readonly CertificateInfo[]): string =>
  certificates.map(({ der }) => toPem('CERTIFICATE', der)).join('');
const write = (name: string, text: string): string => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

/** Whether `openssl verify` accepts. */
const verify = (args: readonly string[]): Promise<boolean> =>
  new Promise((resolve, reject) => {
    execFile('openssl', ['verify', ...args], { cwd: dir }, (error) => {
      if (error === null) resolve(true);
      else if (error.code === 2) resolve(false);
      else reject(error);
    });
  });

/** `work` on each, two at a time. */
async function each<T>(items: readonly T[], work: (item: T, index: number) => Promise<void>): Promise<void> {
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) {
      const item = items[i];
      if (item !== undefined) await work(item, i);
    }
  };
  await Promise.all([lane(), lane()]);
}

/**
 * Of the suite's certificates and CRLs those that can have to do with a leaf: by the names of issuers, and of CRL issuers,
 * from the leaf up. To have OpenSSL read all of them each time would take most of the time.
 */
function neighbourhood({ leaf }: PkitsCase): { cas: CertificateInfo[]; lists: RevocationList[] } {
  const cas = new Map<string, CertificateInfo>();
  const names = new Set<string>();
  const look = (certificate: CertificateInfo): void => {
    const points = findExtension(certificate.extensions, EXTENSIONS.cRLDistributionPoints);
    const tellers =
      points === undefined ? [] : readDistributionPoints(points.value).flatMap((one) => one.crlIssuers ?? []);
    for (const name of [certificate.issuer, ...tellers].map(nameKey)) {
      if (names.has(name)) continue;
      names.add(name);
      for (const ca of BAG.named(name)) {
        if (!cas.has(ca.sha256)) look(ca);
        cas.set(ca.sha256, ca);
      }
    }
  };
  const read = CERTIFICATES.get(leaf);
  if (read !== undefined) look(read);
  const lists = LISTS.filter(({ issuerKey }) => names.has(issuerKey));
  return lists.length === 0
    ? { cas: [...CERTIFICATES.values()], lists: [...LISTS] }
    : { cas: [...cas.values()], lists };
}

/** Cases of PKITS in which one accepts and the other refuses. */
const PKITS_DIFFERENCES: Readonly<Record<string, string>> = {
  // DSA: FIPS 186-5 took it out. (Parameters that are inherited, 4.1.5, OpenSSL refuses as well.)
  '4.1.4': 'refused here, accepted by openssl',
  // The certificate of the CRL's signer is told of by the CRL that it signs: OpenSSL does not go round that ring.
  '4.14.30': 'accepted here, refused by openssl',
};

test('on every case of PKITS openssl verify and Keystead say the same, save where the reason is known', async () => {
  const anchor = write('anchor.pem', pemOf([ANCHOR]));
  const time = String(NOW.getTime() / 1000);
  const differ: Record<string, string> = {};
  await each(CASES, async (wanted: PkitsCase) => {
    const leaf = write(`${wanted.test}.pem`, toPem('CERTIFICATE', pkitsBytes('certs', wanted.leaf)));
    const { cas, lists } = neighbourhood(wanted);
    const untrusted = write(`${wanted.test}-cas.pem`, pemOf([ANCHOR, ...cas]));
    const crls = write(`${wanted.test}-crls.pem`, lists.map(({ der }) => toPem('X509 CRL', der)).join(''));
    const accepted = await verify([
      ...['-CAfile', anchor, '-untrusted', untrusted, '-CRLfile', crls, '-attime', time],
      ...['-crl_check_all', '-extended_crl', '-use_deltas', '-policy_check'],
      ...(wanted.policies ?? ['2.5.29.32.0']).flatMap((id) => ['-policy', id]),
      ...(wanted.requireExplicitPolicy ? ['-explicit_policy'] : []),
      ...(wanted.inhibitPolicyMapping ? ['-inhibit_map'] : []),
      ...(wanted.inhibitAnyPolicy ? ['-inhibit_any'] : []),
      leaf,
    ]);
    const own = judge(wanted).ok;
    if (own !== accepted)
      differ[wanted.test] = own ? 'accepted here, refused by openssl' : 'refused here, accepted by openssl';
  });
  assert.deepEqual(differ, PKITS_DIFFERENCES);
});

test('on random hierarchies openssl verify and Keystead say the same', async () => {
  const hierarchies = fc.sample(randomHierarchy, { numRuns: 150, seed: 20260601 });
  const time = String(FORGED_NOW.getTime() / 1000);
  let accepted = 0;
  await each(hierarchies, async ({ root, via, leaf }, i) => {
    const anchor = write(`root${i}.pem`, toPem('CERTIFICATE', root));
    const untrusted = write(`via${i}.pem`, via.map((der) => toPem('CERTIFICATE', der)).join(''));
    const end = write(`leaf${i}.pem`, toPem('CERTIFICATE', leaf));
    const strict = ['-x509_strict', '-policy_check', '-policy', '2.5.29.32.0', '-attime', time];
    const theirs = await verify([...strict, '-CAfile', anchor, '-untrusted', untrusted, end]);
    const own = checkPath(leaf, via, [root], { now: FORGED_NOW });
    assert.equal(
      own.ok,
      theirs,
      `hierarchy ${i}: ${own.ok ? 'accepted here' : `${own.rule} ${own.depth} ${own.detail}`}`,
    );
    if (own.ok) accepted += 1;
  });
  assert.ok(accepted > 30 && accepted < 120, `${accepted} of 150 accepted: the sample tells nothing`);
});
