import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { checkPath, deviceIdOf, formatName, readCertificate } from '@keystead/core/x509';
import type { StatusSource } from './ocsp-client.ts';

/** Who a peer must be. */
export type ExpectedPeer =
  /** A server of this name or address, by its subject alternative name (RFC 9525). */
  | { readonly host: string }
  /** A device; with `deviceId` this one. */
  | { readonly device: true; readonly deviceId?: string };

export interface PeerRules {
  readonly clock: Clock;
  /** Trust anchors, DER. */
  readonly anchors: readonly DerCertificate[];
  /** CA certificates that we hold ourselves, DER; those that the peer sends are used as well. */
  readonly intermediates?: readonly DerCertificate[];
  /** When given, the certificate's direct issuer must be one of these CA certificates (DER). */
  readonly issuers?: readonly DerCertificate[];
  readonly extKeyUsage: 'serverAuth' | 'clientAuth';
  readonly expected: ExpectedPeer;
  /** Asks for the peer's status; without it the status is not looked at, and short lifetimes must do. */
  readonly ocsp?: StatusSource;
}

/** The rule that refused a peer: one of `checkPath`'s, or one of these. */
export type PeerRule = string;

export type PeerVerdict =
  | {
      readonly ok: true;
      /** Leaf first, anchor last. */
      readonly chain: readonly DerCertificate[];
      /** The device id, where the peer is a device. */
      readonly deviceId?: string;
    }
  | {
      readonly ok: false;
      /**
       * `no-certificate`, `malformed`, `issuer`, `name`, `revoked`, `status-unknown`, `status-unavailable`, or the rule of
       * RFC 5280 section 6 that `checkPath` names.
       */
      readonly rule: PeerRule;
      /** A sentence for people and logs. */
      readonly detail: string;
    };

/** The certificates that the peer sent in this connection, leaf first. */
export function peerCertificates(socket: TLSSocket): DerCertificate[] {
  const certificates: DerCertificate[] = [];
  const seen = new Set<string>();
  let at = socket.getPeerX509Certificate();
  while (at !== undefined && !seen.has(at.fingerprint256) && certificates.length < 10) {
    seen.add(at.fingerprint256);
    certificates.push(new Uint8Array(at.raw) as DerCertificate);
    at = at.issuerCertificate;
  }
  return certificates;
}

/**
 * Judges a peer by its certificates (leaf first): path to an anchor, extended key usage, issuer, name, and
 * revocation of the leaf, in this order; says which rule refused. Nothing that cannot be found out is taken for
 * good: an unknown status is a refusal. Never throws.
 *
 * REQ-KEY-REV-03.
 */
export async function checkPeer(certificates: readonly DerCertificate[], rules: PeerRules): Promise<PeerVerdict> {
  const [leaf, ...sent] = certificates;
  if (leaf === undefined) return refused('no-certificate', 'the peer sent no certificate');
  try {
    const path = checkPath(leaf, [...sent, ...(rules.intermediates ?? [])], [...rules.anchors], {
      now: rules.clock.now(),
      extKeyUsage: rules.extKeyUsage,
    });
    if (!path.ok) return refused(path.rule, `${path.rule} at ${path.at}`);
    const [, issuer] = path.chain;
    if (issuer === undefined) return refused('issuer', 'an anchor is no identity of a peer');
    if (rules.issuers !== undefined && !rules.issuers.some((allowed) => Buffer.compare(allowed, issuer.der) === 0)) {
      return refused('issuer', `issued by ${formatName(issuer.subject)}, which does not vouch for this kind of peer`);
    }
    const name = checkName(leaf, rules.expected);
    if (!name.ok) return name;
    const status = await rules.ocsp?.status(leaf, issuer.der);
    if (status?.status === 'revoked') {
      return refused('revoked', `revoked at ${status.revokedAt.toISOString()}, reason ${status.reason ?? 'not given'}`);
    }
    if (status?.status === 'unknown')
      return refused('status-unknown', 'the OCSP responder does not know the certificate');
    if (status?.status === 'unavailable') return refused('status-unavailable', status.why);
    return {
      ok: true,
      chain: path.chain.map(({ der }) => der),
      ...(name.deviceId === undefined ? {} : { deviceId: name.deviceId }),
    };
  } catch (error) {
    return refused('malformed', error instanceof Error ? error.message : 'a certificate that cannot be read');
  }
}

const refused = (rule: PeerRule, detail: string): PeerVerdict & { ok: false } => ({ ok: false, rule, detail });

function checkName(
  leaf: DerCertificate,
  expected: ExpectedPeer,
): { ok: true; deviceId?: string } | (PeerVerdict & { ok: false }) {
  if ('host' in expected) {
    const certificate = new X509Certificate(leaf);
    const matches =
      isIP(expected.host) === 0
        ? certificate.checkHost(expected.host, { subject: 'never', wildcards: false })
        : certificate.checkIP(expected.host);
    return matches === undefined ? refused('name', `the certificate is not for ${expected.host}`) : { ok: true };
  }
  const deviceId = deviceIdOf(readCertificate(leaf).san);
  if (deviceId === undefined) return refused('name', 'the certificate names no device');
  if (expected.deviceId !== undefined && expected.deviceId !== deviceId) {
    return refused('name', `the certificate is for ${deviceId}, not for ${expected.deviceId}`);
  }
  return { ok: true, deviceId };
}
