import { X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { DerCertificate, SpkiSha256 } from '@keystead/core/bytes';
import { spkiSha256 } from '@keystead/core/crypto';
import {
  CertificateBag,
  type CertificateInfo,
  certificateStatus,
  checkPath,
  deviceIdOf,
  EXTENSIONS,
  findExtension,
  formatName,
  PATH_RULES,
  type PathOptions,
  readCertificate,
  readTlsFeatures,
  STATUS_RULES,
} from '@keystead/core/x509';
import { peerStatus, type StatusRules } from './peer-status.ts';

/** Who a peer must be. */
export type ExpectedPeer =
  /** A server of this name or address, by its subject alternative name (RFC 9525). */
  | { readonly host: string }
  /** A device; with `deviceId` this one. */
  | { readonly device: true; readonly deviceId?: string };

export interface PeerRules extends StatusRules {
  /** Trust anchors, DER. */
  readonly anchors: readonly DerCertificate[];
  /** CA certificates that we hold ourselves, DER; those that the peer sends are used as well. */
  readonly intermediates?: readonly DerCertificate[];
  /** When given, the certificate's direct issuer must be one of these CA certificates (DER). */
  readonly issuers?: readonly DerCertificate[];
  /** The end of the trust bundle that the rules come from: nobody is believed by them from then on. */
  readonly until?: Date;
  /** The keys that are pinned under a name, by the SHA-256 of the leaf's SubjectPublicKeyInfo. REQ-KEY-ROT-03 */
  readonly pin?: { readonly name: string; readonly isGood: (key: SpkiSha256) => boolean };
  readonly extKeyUsage: 'serverAuth' | 'clientAuth';
  readonly expected: ExpectedPeer;
  /** When the handshake was in which `staple` came, where this is another look at its peer; by default now. */
  readonly stapledAt?: Date;
  /** Policies, and how long a path may be, where the application asks for more than RFC 5280 does by itself. */
  readonly path?: Pick<
    PathOptions,
    'policies' | 'requireExplicitPolicy' | 'inhibitPolicyMapping' | 'inhibitAnyPolicy' | 'maxPathLength'
  >;
}

/**
 * The rule that refused a peer: one of `PATH_RULES`, `STATUS_RULES` or `PEER_RULES`. Their names are stable.
 */
export type PeerRule = string;

/** The rules that are neither of the path nor of the status, each with its source. */
export const PEER_RULES = {
  'trust-expired': ['Keystead docs/trust-bundle.md', 'nothing is believed by a trust bundle that has expired'],
  'no-certificate': ['RFC 8446 4.4.2', 'the peer must show a certificate'],
  issuer: ['Keystead', 'the direct issuer must be one that vouches for this kind of peer'],
  name: ['RFC 9525 6', 'the certificate must be for the peer that is expected'],
  pin: ['RFC 7469 2.6', 'the key must be one that the trust bundle pins under this name, in its window'],
  'staple-missing': [
    'RFC 7633 4.3.3',
    'a server whose certificate promises a stapled answer must send one that verifies',
  ],
} as const;

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
      readonly rule: PeerRule;
      /** Where the rule stands, for example `RFC 5280 6.1.3 (a)(2)`. */
      readonly source: string;
      /** The certificate at fault, by its place in the path: 0 is the leaf. */
      readonly depth: number;
      /** A sentence for people and logs. */
      readonly detail: string;
    };

/** node:tls gives a client the certificates of its server once; asked again, it has none. */
const sent = new WeakMap<TLSSocket, readonly DerCertificate[]>();

/** The certificates that the peer sent in this connection, leaf first. */
export function peerCertificates(socket: TLSSocket): readonly DerCertificate[] {
  const known = sent.get(socket);
  if (known !== undefined) return known;
  const certificates: DerCertificate[] = [];
  const seen = new Set<string>();
  let at = socket.getPeerX509Certificate();
  while (at !== undefined && !seen.has(at.fingerprint256) && certificates.length < 10) {
    seen.add(at.fingerprint256);
    certificates.push(new Uint8Array(at.raw) as DerCertificate);
    at = at.issuerCertificate;
  }
  if (certificates.length > 0) sent.set(socket, certificates);
  return certificates;
}

/**
 * Judges a peer by its certificates (leaf first): path to an anchor by RFC 5280 section 6.1, extended key usage,
 * issuer, name, pin, and revocation, in this order; says which rule refused and of which certificate. Nothing that cannot
 * be found out is taken for good: an unknown status is a refusal. Never throws.
 *
 * REQ-KEY-REV-03.
 */
export async function verifyPeer(certificates: readonly DerCertificate[], rules: PeerRules): Promise<PeerVerdict> {
  const [leaf, ...sent] = certificates;
  if (leaf === undefined) return refused('no-certificate', 'the peer sent no certificate');
  const { until, pin } = rules;
  if (until !== undefined && !(rules.clock.now().getTime() < until.getTime()))
    return refused('trust-expired', `the trust bundle expired ${until.toISOString()}, and none that is newer has come`);
  try {
    const bag = [...sent, ...(rules.intermediates ?? [])];
    const path = checkPath(leaf, bag, [...rules.anchors], {
      ...rules.path,
      now: rules.clock.now(),
      extKeyUsage: rules.extKeyUsage,
    });
    if (!path.ok) return refused(path.rule, `${path.rule} at ${path.at}: ${path.detail}`, path.depth);
    const [own, issuer] = path.chain;
    if (own === undefined || issuer === undefined) return refused('issuer', 'an anchor is no identity of a peer');
    if (rules.issuers !== undefined && !rules.issuers.some((allowed) => Buffer.compare(allowed, issuer.der) === 0)) {
      return refused('issuer', `issued by ${formatName(issuer.subject)}, which does not vouch for this kind of peer`);
    }
    const name = checkName(leaf, rules.expected);
    if (!name.ok) return name;
    const key = spkiSha256(own.spki);
    if (pin !== undefined && !pin.isGood(key))
      return refused('pin', `the key ${key} is not pinned under ${pin.name} now`);
    const broken =
      rules.extKeyUsage === 'serverAuth' && promisesStaple(leaf) ? brokenPromise(path.chain, rules) : undefined;
    if (broken !== undefined) return refused('staple-missing', broken);
    const status = await peerStatus(path.chain, sent, rules.intermediates ?? [], rules);
    if (status !== undefined) return refused(status.rule, `${status.at}: ${status.detail}`, status.depth);
    return {
      ok: true,
      chain: path.chain.map(({ der }) => der),
      ...(name.deviceId === undefined ? {} : { deviceId: name.deviceId }),
    };
  } catch (error) {
    return refused('malformed', error instanceof Error ? error.message : 'a certificate that cannot be read');
  }
}

const SOURCES: Readonly<Record<string, readonly [source: string, rule: string]>> = {
  ...PATH_RULES,
  ...STATUS_RULES,
  ...PEER_RULES,
};

const refused = (rule: PeerRule, detail: string, depth = 0): PeerVerdict & { ok: false } => ({
  ok: false,
  rule,
  source: SOURCES[rule]?.[0] ?? 'Keystead',
  depth,
  detail,
});

/** TLS feature status_request in the certificate (RFC 7633 section 4.2.1). */
function promisesStaple(leaf: DerCertificate): boolean {
  const feature = findExtension(readCertificate(leaf).extensions, EXTENSIONS.tlsFeature);
  return feature !== undefined && readTlsFeatures(feature.value).includes(5);
}

/**
 * How a server has not kept its promise; undefined when its answer told the status in the handshake. Another source's word
 * is no substitute: a server whose answer does not verify is misconfigured, or is not the one that the certificate is for.
 */
function brokenPromise(chain: readonly CertificateInfo[], { staple, stapledAt, clock }: PeerRules): string | undefined {
  if (staple === undefined) return 'the certificate promises an OCSP answer in the handshake';
  const options = { now: stapledAt ?? clock.now(), bag: new CertificateBag([...chain]) };
  const said = certificateStatus(chain, 0, { ocsp: [staple] }, options);
  return said.status === 'undetermined'
    ? `the certificate promises an OCSP answer in the handshake, and what came is none: ${said.rule}: ${said.detail}`
    : undefined;
}

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
