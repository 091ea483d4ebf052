import { join } from 'node:path';
import type { DerCertificate, Serial } from '@keystead/core/bytes';
import { randomBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { buildOcspRequest, type CheckedCertStatus, newSerial, readCrl, readOcspResponse } from '@keystead/core/x509';
import { type Check, type CheckContext, failed, passed } from '../check.ts';
import { certificateIn } from './ceremony.ts';

const WITH_CRL = ['root', 'signing-root', 'manufacturing', 'operational', 'server', 'operator'] as const;
const WITH_OCSP = ['manufacturing', 'operational', 'server', 'operator'] as const;
const PATIENCE_MS = 5_000;

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
    for (const role of WITH_CRL) {
      const crl = readCrl(await fetchBytes(`${httpUrl}/crl/${role}.crl`));
      if (!crl.verify(certificateIn(join(layout.trust, `${role}.pem`)))) return failed(`${role}: not signed by its CA`);
      if (crl.nextUpdate <= clock.now()) return failed(`${role}: ended ${crl.nextUpdate.toISOString()}`);
      seen.push(`${role} #${crl.number} (${crl.entries.size})`);
    }
    return passed(seen.join(', '));
  },
};

/** REQ-KEY-REV-02: the responder never says good for what was not issued. */
const unknownSerial: Check = {
  id: 'revocation.ocsp-unknown',
  requirements: ['REQ-KEY-REV-02'],
  text: 'OCSP does not say good for a serial number that was never issued',
  async run(context) {
    for (const role of WITH_OCSP) {
      const issuer = certificateIn(join(context.layout.trust, `${role}.pem`));
      const { status } = await askOcsp(context, role, issuer, newSerial());
      if (status === 'good') return failed(`${role}: good for a number that was just made up`);
    }
    return passed(`${WITH_OCSP.length} responders, each asked with a nonce for a number just made up`);
  },
};

/** REQ-KEY-REV-01, REQ-KEY-REV-02: what the CRL lists, OCSP calls revoked. */
const agreement: Check = {
  id: 'revocation.agreement',
  requirements: ['REQ-KEY-REV-01', 'REQ-KEY-REV-02'],
  text: 'what a CRL lists, OCSP calls revoked too',
  async run(context) {
    let asked = 0;
    for (const role of WITH_OCSP) {
      const issuer = certificateIn(join(context.layout.trust, `${role}.pem`));
      const crl = readCrl(await fetchBytes(`${context.httpUrl}/crl/${role}.crl`));
      // A sample: the newest are the ones that matter most, and a CRL may be long.
      for (const serial of [...crl.entries.keys()].slice(-20)) {
        const { status } = await askOcsp(context, role, issuer, serial);
        if (status !== 'revoked') return failed(`${role} ${serial}: on the CRL, but OCSP says ${status}`);
        asked += 1;
      }
    }
    return passed(`${asked} entries compared`);
  },
};

export const REVOCATION_CHECKS: readonly Check[] = [crls, unknownSerial, agreement];
