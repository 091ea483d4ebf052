/**
 * Where a certificate stands and the ways between (RFC 5280 section 5.3.1). The tables here are the only place that
 * decides; docs/operate.md is printed from them. REQ-KEY-REV-01
 */
import { KeysteadError } from '../errors/index.ts';

interface StatusRules {
  /** What OCSP says of it (RFC 6960 section 2.2). */
  readonly ocsp: string;
  /** What its CA's CRL says of it. */
  readonly crl: string;
  readonly meaning: string;
}

export const CERTIFICATE_STATES = {
  good: { ocsp: 'good', crl: 'not listed', meaning: 'issued, and relied on until it ends' },
  hold: {
    ocsp: 'revoked, certificateHold',
    crl: 'listed with certificateHold',
    meaning: 'not to be relied on for now; comes back, or is revoked for good',
  },
  revoked: {
    ocsp: 'revoked, with the reason',
    crl: 'listed with the reason, past its own end',
    meaning: 'never to be relied on again; the first reason stays',
  },
} as const satisfies Record<string, StatusRules>;
export type CertificateStanding = keyof typeof CERTIFICATE_STATES;

/** What can be done to a certificate. */
export const REVOCATION_ACTS = ['revoke', 'hold', 'release'] as const;
export type RevocationAct = (typeof REVOCATION_ACTS)[number];

/** Every way from one status to another; what is not here is refused. */
export const CERTIFICATE_WAYS: readonly {
  readonly from: CertificateStanding;
  readonly act: RevocationAct;
  readonly to: CertificateStanding;
  readonly when: string;
}[] = [
  { from: 'good', act: 'hold', to: 'hold', when: 'its key or its device is in doubt: an inquiry' },
  { from: 'good', act: 'revoke', to: 'revoked', when: 'it must not be relied on any more' },
  { from: 'hold', act: 'release', to: 'good', when: 'the doubt is gone: an operator signs that, and keyd verifies it' },
  { from: 'hold', act: 'revoke', to: 'revoked', when: 'the doubt proved right; the time of the revocation is now' },
];

/**
 * The status after `act`. To do again what was done is no way of its own: the status stays.
 * @throws KeysteadError `revocation.final` from revoked, `revocation.not-on-hold` for a release of what is good.
 */
export function nextStanding(from: CertificateStanding, act: RevocationAct): CertificateStanding {
  const way = CERTIFICATE_WAYS.find((one) => one.from === from && one.act === act);
  if (way !== undefined) return way.to;
  if (from === 'revoked' && act !== 'revoke') {
    throw new KeysteadError('revocation.final', { field: 'status', seen: `${act} of what is revoked` });
  }
  if (act === 'release') throw new KeysteadError('revocation.not-on-hold', { field: 'status', seen: from });
  return from;
}

/** The two tables as Markdown. */
export function certificateStatesMarkdown(): string {
  const states = Object.entries(CERTIFICATE_STATES).map(
    ([name, { meaning, ocsp, crl }]) => `| ${name} | ${meaning} | ${ocsp} | ${crl} |`,
  );
  const ways = CERTIFICATE_WAYS.map(({ from, act, to, when }) => `| ${from} | ${act} | ${to} | ${when} |`);
  return [
    '| status | meaning | OCSP says | the CRL |',
    '|---|---|---|---|',
    ...states,
    '',
    '| from | act | to | when |',
    '|---|---|---|---|',
    ...ways,
    '',
  ].join('\n');
}
