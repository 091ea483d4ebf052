import { type DerCertificate, fromBase64, type SpkiSha256 } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  type Commission,
  certificateOf,
  checkFactoryCa,
  checkFactoryPolicy,
  FACTORY_CAS,
  FACTORY_SLOTS,
  type FactorySlot,
  factoryEvidenceProfile,
  type PolicyFile,
  parseCommission,
  policyFile,
  verifyCommission,
} from '@keystead/core/lifecycle';
import { checkPath, lintCertificate, nameValues, readCertificate } from '@keystead/core/x509';
import { HeadquartersCrls } from './headquarters-crls.ts';

/** What a node holds a commission against. */
export interface CommissionExpected {
  readonly factory: string;
  readonly requestSha256: string;
  /** SHA-256 of the root's certificate, hex. */
  readonly rootSha256: string;
  /** The keys of this node. */
  readonly keys: Readonly<Record<FactorySlot, SpkiSha256 | string>>;
  readonly now: Date;
  /** keyd's own directory. */
  readonly dir: string;
}

/** A commission with its parts read. */
export interface CheckedCommission {
  readonly content: Commission;
  readonly policy: PolicyFile;
  readonly certificates: CommissionCertificates;
  readonly crls: HeadquartersCrls;
}

export interface CommissionCertificates {
  /** The node's own. */
  readonly issued: Readonly<Record<FactorySlot, DerCertificate>>;
  /** Those of headquarters. */
  readonly above: Readonly<Record<keyof Commission['certificates'], DerCertificate>>;
}

/** The clock of headquarters may be ahead by this much. */
const CLOCK_SKEW_MS = 60_000;

const untrusted = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('factory.commission-untrusted', { field, seen, cause });
const foreign = (field: string, seen: string): KeysteadError =>
  new KeysteadError('factory.commission-foreign', { field, seen });

/** The certificates of a commission, DER. @throws KeysteadError `bundle.malformed`. */
export function certificatesOf({ issued, certificates }: Commission): CommissionCertificates {
  const read = <K extends string>(part: Readonly<Record<K, string>>, field: string) =>
    Object.fromEntries(
      Object.entries<string>(part).map(([name, pem]) => [name, certificateOf(pem, `${field}.${name}`)]),
    ) as Record<K, DerCertificate>;
  return { issued: read(issued, 'issued'), above: read(certificates, 'certificates') };
}

/** The CRLs that a commission brings, and those that came since. @throws KeysteadError `factory.crl-unfit`. */
export function crlsOf(dir: string, content: Commission, { above }: CommissionCertificates): HeadquartersCrls {
  const { root, manufacturing, server, operator } = above;
  return HeadquartersCrls.open(dir, { root, manufacturing, server, operator }, content.crls);
}

/**
 * Whether a commission is headquarters' answer to this node. Everything hangs on the root for which a person vouched:
 * it leads to headquarters' CAs, one of which certified who signed the commission. What the commission itself says,
 * its policy among it, is believed only after that. REQ-KEY-PROV-01, REQ-KEY-SOD-01
 * @throws KeysteadError `factory.*`, `policy.*`.
 */
export function checkCommission(text: string, expected: CommissionExpected): CheckedCommission {
  const { content } = parseCommission(text);
  const certificates = certificatesOf(content);
  requireRoot(certificates.above.root, expected);
  requireAbove(certificates, expected.now);
  verifyCommission(text, readCertificate(certificates.above['evidence-signer']).spki);
  requireForUs(content, expected);
  const crls = crlsOf(expected.dir, content, certificates);
  const policy = policyFile(fromBase64(content.policy));
  checkFactoryPolicy(policy.policy);
  requireIssued(certificates, policy, { ...expected, serverNames: content.serverNames });
  requireNotRevoked(certificates, crls);
  crls.requireFresh(policy.policy.factory?.offlineSeconds ?? 0, expected.now);
  return { content, policy, certificates, crls };
}

function requireRoot(root: DerCertificate, { rootSha256 }: CommissionExpected): void {
  const seen = certSha256(root);
  if (seen !== rootSha256) throw untrusted('certificates.root', `SHA-256 ${seen}, where ${rootSha256} was vouched for`);
}

/** The CAs of headquarters are under the root, each in its own right, and its evidence signer is one. */
function requireAbove({ above }: CommissionCertificates, now: Date): void {
  const { root, server } = above;
  for (const ca of ['manufacturing', 'operational', 'server', 'operator'] as const) {
    const path = checkPath(above[ca], [], [root], { now });
    if (!path.ok) throw untrusted(`certificates.${ca}`, `${path.rule} at ${path.at}: ${path.detail}`);
    const { ca: isCa, keyUsage } = readCertificate(above[ca]);
    if (!isCa || !keyUsage.includes('keyCertSign')) throw untrusted(`certificates.${ca}`, 'not a CA');
  }
  if (!readCertificate(above['signing-root']).ca) throw untrusted('certificates.signing-root', 'not a CA');
  const field = 'certificates.evidence-signer';
  const path = checkPath(above['evidence-signer'], [server], [root], { now });
  if (!path.ok) throw untrusted(field, `${path.rule} at ${path.at}: ${path.detail}`);
  requireEvidenceSigner(above['evidence-signer'], server, field);
}

/**
 * The server CA certifies many: who has a certificate for a host must not speak for headquarters, nor may the evidence
 * signer of another factory, whose subject has that factory in it. The policy cannot be asked: it comes with the very
 * commission that is looked at.
 */
function requireEvidenceSigner(certificate: DerCertificate, server: DerCertificate, field: string): void {
  const info = readCertificate(certificate);
  const wrong =
    (Buffer.compare(info.issuerDer, readCertificate(server).subjectDer) !== 0 && 'not by the server CA') ||
    (info.ca && 'a CA') ||
    (info.extKeyUsage.length > 0 && info.extKeyUsage.join(' ')) ||
    (info.san.length > 0 && info.san.join(' ')) ||
    (info.keyUsage.join() !== 'digitalSignature' && info.keyUsage.join(' ')) ||
    nameValues(info.subject, 'OU').map((unit) => `of the factory ${unit}`)[0] ||
    false;
  if (wrong !== false) throw untrusted(field, `a certificate for something else: ${wrong}`);
}

function requireForUs(content: Commission, { factory, requestSha256, now }: CommissionExpected): void {
  if (content.factory !== factory) throw foreign('factory', `${content.factory}, and this is ${factory}`);
  if (content.requestSha256 !== requestSha256) throw foreign('requestSha256', content.requestSha256);
  if (Date.parse(content.issuedAt) > now.getTime() + CLOCK_SKEW_MS) throw foreign('issuedAt', content.issuedAt);
}

/** What was issued is for this node's own keys, under headquarters' CAs, in force, and constrained. */
function requireIssued(
  { issued, above }: CommissionCertificates,
  { policy }: PolicyFile,
  { factory, keys, serverNames, now }: CommissionExpected & Pick<Commission, 'serverNames'>,
): void {
  for (const slot of FACTORY_SLOTS) {
    const seen = readCertificate(issued[slot]).spkiSha256;
    if (seen !== keys[slot]) throw foreign(`issued.${slot}`, `a key with SHA-256 ${seen}`);
  }
  for (const ca of FACTORY_CAS) checkFactoryCa(issued[ca], { policy, ca, factory, serverNames, issuer: above[ca] });
  const [finding] = lintCertificate(issued.evidence, factoryEvidenceProfile(policy, factory), above.server);
  if (finding !== undefined) throw untrusted(`issued.evidence: ${finding.rule}`, finding.detail);
  for (const slot of FACTORY_SLOTS) {
    const issuer = above[slot === 'manufacturing' ? 'manufacturing' : 'server'];
    const path = checkPath(issued[slot], [issuer], [above.root], { now });
    if (!path.ok) throw untrusted(`issued.${slot}`, `${path.rule} at ${path.at}: ${path.detail}`);
  }
}

/** Neither what was issued nor what it hangs on is revoked. */
export function requireNotRevoked({ issued, above }: CommissionCertificates, crls: HeadquartersCrls): void {
  const serial = (der: DerCertificate) => readCertificate(der).serial;
  const looked = [
    ...(['manufacturing', 'server', 'operator'] as const).map(
      (ca) => ['root', above[ca], `certificates.${ca}`] as const,
    ),
    ['server', above['evidence-signer'], 'certificates.evidence-signer'] as const,
    ['manufacturing', issued.manufacturing, 'issued.manufacturing'] as const,
    ['server', issued.server, 'issued.server'] as const,
    ['server', issued.evidence, 'issued.evidence'] as const,
  ];
  for (const [ca, certificate, field] of looked) {
    if (crls.isRevoked(ca, serial(certificate))) throw untrusted(field, 'revoked by headquarters');
  }
}
