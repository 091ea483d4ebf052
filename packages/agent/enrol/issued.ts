import type { DerCertificate } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import { spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { CertificateBag, deviceIdOf, findPath, readCaCertificate } from '@keystead/core/x509';
import type { DeviceState } from '../state/index.ts';

const refusal = (field: string, seen: string, cause?: unknown): KeysteadError =>
  new KeysteadError('enrol.certificate-refused', { field, seen, cause });

/**
 * Finds the device's certificate in an answer, checks it, and puts it into the state. The certificate must
 * carry the pending key, name this device and no other, and chain to a pinned anchor now; of the others, those
 * on that path are kept as its chain.
 * @param anchors by default those that the device was made with; a trust bundle brings others.
 * @throws KeysteadError enrol.certificate-refused, whose `field` names the part; the state is then unchanged.
 */
export function acceptIssued(
  state: DeviceState,
  certificates: readonly DerCertificate[],
  clock: Clock,
  anchors: readonly DerCertificate[] = state.anchors,
): void {
  const keyId = state.pending?.keyId;
  const parsed = certificates.map((der) => {
    try {
      return readCaCertificate(der);
    } catch (cause) {
      throw refusal('certificate', 'one that cannot be read', cause);
    }
  });
  const own = parsed.find((certificate) => spkiSha256(certificate.spki) === keyId);
  if (own === undefined)
    throw refusal('key', `${certificates.length} certificates, none of them for the key asked for`);
  const named = deviceIdOf(own.san);
  const commonName = own.subject.rdns.find((rdn) => rdn.type === 'CN')?.value;
  if (named !== state.deviceId || commonName !== state.deviceId) {
    throw refusal('name', `${named ?? 'no device'}, CN ${commonName ?? 'none'}`);
  }
  const others = parsed.filter(({ sha256 }) => sha256 !== own.sha256);
  const bag = new CertificateBag([...others, ...state.intermediates.map(readCaCertificate)]);
  const path = findPath(own, bag, new CertificateBag(anchors.map(readCaCertificate)), {
    now: clock.now(),
    extKeyUsage: 'clientAuth',
  });
  if (!path.ok) throw refusal('path', `${path.rule} at ${path.at}`);
  state.acceptCertificate({
    certificate: own.der,
    chain: path.chain.slice(1, -1).map(({ der }) => der),
    receivedAt: clock.now().toISOString(),
  });
}

/** Keeps, of `certificates`, the CA certificates that chain to a pinned anchor; the others are passed over. */
export function keepCaCertificates(
  state: DeviceState,
  certificates: readonly DerCertificate[],
  clock: Clock,
  anchors: readonly DerCertificate[] = state.anchors,
): void {
  const isAnchor = (der: DerCertificate): boolean => anchors.some((anchor) => Buffer.compare(anchor, der) === 0);
  const candidates = certificates.filter((der) => !isAnchor(der)).map(readCaCertificate);
  const [bag, above] = [new CertificateBag(candidates), new CertificateBag(anchors.map(readCaCertificate))];
  const now = clock.now();
  const trusted = candidates.filter((one) => one.ca && findPath(one, bag, above, { now }).ok);
  state.keepIntermediates(trusted.map(({ der }) => der));
}
