import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  certificateOf,
  type IssuerId,
  type IssuerName,
  OFFLINE_CAS,
  parsePolicy,
  ROOT_CRL_LIST,
  ROOT_CRL_PROFILE,
  transitionEnd,
} from '@keystead/core/lifecycle';
import {
  buildOcspRequest,
  type CheckedCertStatus,
  checkPath,
  nameKey,
  newSerial,
  readCertificate,
  readCrl,
  readOcspResponse,
  readRevocationList,
} from '@keystead/core/x509';
import { withheldOf } from '../../authority/index.ts';
import type { Layout } from '../../files/layout.ts';
import { readOnly } from '../../store/index.ts';
import { type Check, type CheckContext, failed, passed, weak } from '../check.ts';
import { crossCertificates, type Trusted, trustedIssuers, trustedRoots } from '../trusted.ts';

const PATIENCE_MS = 5_000;

/** The keys of CAs that answer for what they issued: until their certificates end. */
const answering = (layout: Layout, now: Date): Trusted<IssuerId>[] =>
  trustedIssuers(layout).filter(({ certificate }) => readCertificate(certificate).notAfter > now);

/** Those, and the roots that are anchors now. */
function withCrl(layout: Layout, now: Date): Trusted<IssuerName>[] {
  const policy = parsePolicy(readFileSync(layout.policy));
  const retired = new Set<string>(
    OFFLINE_CAS.flatMap((role) => crossCertificates(layout, role))
      .filter((rollover) => transitionEnd(policy, rollover) <= now)
      .map(({ id }) => id),
  );
  const roots = OFFLINE_CAS.flatMap((role) => trustedRoots(layout, role)).filter(({ id }) => !retired.has(id));
  return [...roots, ...answering(layout, now)];
}

async function fetchBytes(url: string, init: RequestInit = {}): Promise<Uint8Array> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch (cause) {
    throw new KeysteadError('service.unreachable', {
      field: url,
      seen: cause instanceof Error ? cause.message : '',
      cause,
    });
  }
  if (!response.ok) throw new KeysteadError('service.bad-answer', { field: url, seen: `HTTP ${response.status}` });
  return new Uint8Array(await response.arrayBuffer());
}

async function askOcsp(
  { httpUrl, clock }: CheckContext,
  role: string,
  issuer: DerCertificate,
  serial: Serial,
): Promise<CheckedCertStatus> {
  const nonce = randomBytes(32);
  const der = await fetchBytes(`${httpUrl}/ocsp/${role}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/ocsp-request' },
    body: Buffer.from(buildOcspRequest({ issuer, serial, nonce })),
  });
  return readOcspResponse(der, { issuer, serial, now: clock.now(), nonce });
}

/** REQ-KEY-REV-01: every CA has a CRL that is signed and not past its nextUpdate. */
const crls: Check = {
  id: 'revocation.crl',
  requirements: ['REQ-KEY-REV-01'],
  text: 'every CA serves a CRL that it signed and that has not ended',
  async run({ layout, httpUrl, clock }) {
    const seen: string[] = [];
    for (const { id, certificate } of withCrl(layout, clock.now())) {
      const crl = readCrl(await fetchBytes(`${httpUrl}/crl/${id}.crl`));
      if (!crl.verify(certificate)) return failed(`${id}: not signed by its CA`);
      if (crl.nextUpdate <= clock.now()) return failed(`${id}: ended ${crl.nextUpdate.toISOString()}`);
      seen.push(`${id} #${crl.number} (${crl.entries.size})`);
    }
    return passed(seen.join(', '));
  },
};

/** How long before its end the certificate of the signer is a matter for somebody, milliseconds. */
const SIGNER_WARNING_MS = 90 * 86_400_000;

/** REQ-KEY-REV-01: the indirect CRL of the root, where there is one. */
const rootCrl: Check = {
  id: 'revocation.root-crl',
  requirements: ['REQ-KEY-REV-01'],
  text: 'the indirect CRL of the root is served, by the signer that the root certified, in its time, and names what the root revoked',
  async run({ layout, httpUrl, clock }) {
    const now = clock.now();
    const path = join(layout.trust, `${ROOT_CRL_PROFILE}.pem`);
    if (!existsSync(path)) return passed('no ceremony has certified a signer: a CA is revoked in a ceremony alone');
    const signer = readCertificate(certificateOf(readFileSync(path, 'latin1'), path));
    const roots = trustedRoots(layout, 'root');
    if (
      !checkPath(
        signer.der,
        [],
        roots.map(({ certificate }) => certificate),
        { now },
      ).ok
    )
      return failed(`the certificate of the signer, ${signer.serial}, has no path to the root now`);
    const list = readRevocationList(await fetchBytes(`${httpUrl}/crl/${ROOT_CRL_LIST}.crl`));
    if (list.point?.indirect !== true || list.verify(signer).verdict !== 'valid')
      return failed('not signed by the signer');
    if (list.nextUpdate <= now) return failed(`ended ${list.nextUpdate.toISOString()}`);
    for (const { id, certificate } of roots) {
      const own = readCrl(await fetchBytes(`${httpUrl}/crl/${id}.crl`));
      if (own.entries.has(signer.serial)) return failed(`${id} has revoked the certificate of the signer`);
      const name = nameKey(readCertificate(certificate).subject);
      const gone = [...own.entries.keys()].find((serial) => list.find(name, serial) === undefined);
      if (gone !== undefined) return failed(`${id} has revoked ${gone}, which the indirect list does not name`);
    }
    const seen = `#${list.number} (${list.size}); its signer until ${signer.notAfter.toISOString()}`;
    return signer.notAfter.getTime() - now.getTime() < SIGNER_WARNING_MS
      ? weak(`${seen}: hold a ceremony before that`)
      : passed(seen);
  },
};

/** REQ-KEY-REV-02: the responder never says good for what was not issued. */
const unknownSerial: Check = {
  id: 'revocation.ocsp-unknown',
  requirements: ['REQ-KEY-REV-02'],
  text: 'OCSP does not say good for a serial number that was never issued',
  async run(context) {
    const issuers = answering(context.layout, context.clock.now());
    for (const { id, certificate } of issuers) {
      const { status } = await askOcsp(context, id, certificate, newSerial());
      if (status === 'good') return failed(`${id}: good for a number that was just made up`);
    }
    return passed(`${issuers.length} responders, each asked with a nonce for a number just made up`);
  },
};

/** REQ-KEY-REV-01, REQ-KEY-REV-02: what the CRL lists, OCSP calls revoked. */
const agreement: Check = {
  id: 'revocation.agreement',
  requirements: ['REQ-KEY-REV-01', 'REQ-KEY-REV-02'],
  text: 'what a CRL lists, OCSP calls revoked too',
  async run(context) {
    let asked = 0;
    for (const { id, certificate } of answering(context.layout, context.clock.now())) {
      const crl = readCrl(await fetchBytes(`${context.httpUrl}/crl/${id}.crl`));
      // A sample: the newest are the ones that matter most, and a CRL may be long.
      for (const serial of [...crl.entries.keys()].slice(-20)) {
        const { status } = await askOcsp(context, id, certificate, serial);
        if (status !== 'revoked') return failed(`${id} ${serial}: on the CRL, but OCSP says ${status}`);
        asked += 1;
      }
    }
    return passed(`${asked} entries compared`);
  },
};

/** REQ-KEY-REV-01, REQ-KEY-SOD-02: what stands revoked in the records, keyd lists. */
const withheld: Check = {
  id: 'revocation.withheld',
  requirements: ['REQ-KEY-REV-01', 'REQ-KEY-SOD-02'],
  text: 'keyd leaves out of the CRLs nothing that the records say is revoked, for want of statements of people',
  async run({ layout, clock }) {
    const now = clock.now().getTime();
    const left = readOnly(layout.database, (records) =>
      [...withheldOf(records)].filter(([issuer]) => records.crlLists(issuer).some((row) => row.nextUpdate > now)),
    );
    if (left.length === 0) return passed('none is left out');
    const told = left.map(([issuer, count]) => `${issuer}: ${count}`).join(', ');
    return failed(`${told}; revocation.alone of the policy is used up: keystead revoke --batch TICKET --propose`);
  },
};

export const REVOCATION_CHECKS: readonly Check[] = [crls, rootCrl, unknownSerial, agreement, withheld];
