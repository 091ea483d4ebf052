import type { Serial, SpkiSha256 } from '@keystead/core/bytes';
import { verifySignature } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import type { FactoryIssuerId, IssuerId } from '@keystead/core/lifecycle';
import type { CertificateInfo } from '@keystead/core/x509';
import type { Factory } from './factories.ts';
import type { KeydState } from './state.ts';

/** An IDevID that carries the signature of a factory's CA. */
export interface FactoryIdevid {
  readonly issuer: FactoryIssuerId;
  readonly id: string;
  readonly serial: Serial;
  readonly spkiSha256: SpkiSha256;
}

/** The factory whose manufacturing sub-CA signed this certificate, whether or not it is believed. */
export function factoryThatSigned(info: CertificateInfo, factories: readonly Factory[]): Factory | undefined {
  const { signatureAlgorithm } = info;
  if (signatureAlgorithm === undefined) return undefined;
  return factories.find(
    ({ manufacturing: { subjectDer, spki } }) =>
      Buffer.compare(info.issuerDer, subjectDer) === 0 &&
      verifySignature(signatureAlgorithm, spki, info.tbs, info.signature),
  );
}

/**
 * An IDevID of a factory is believed when the factory has told of this very one and it was taken in: whoever has the
 * key of a factory's CA can make certificates, and none of them proves a device here before reconciliation has found
 * the device id and the key to be its own. That the factory was closed since, or that the certificate of its CA has
 * ended, takes nothing from a unit that was taken in; that its CA is revoked does. docs/decisions/0034, REQ-KEY-PROV-01
 * @throws KeysteadError `requester.unproven`, `requester.quarantined`, `requester.not-reconciled`.
 */
export function requireFactoryUnit(
  { issuer, id, serial, spkiSha256 }: FactoryIdevid,
  state: KeydState,
  vouches: (issuer: IssuerId) => boolean,
): void {
  const factory = state.factories.ofIssuer(issuer);
  const field = 'requester.certificate';
  if (factory === undefined || isRevoked(factory, state) || !vouches(factory.inForce.certified.manufacturing.issuer)) {
    const seen = `a certificate of ${issuer}, which is believed no more`;
    throw new KeysteadError('requester.unproven', { field, seen });
  }
  const unit = state.factories.unitBySerial(issuer, serial);
  if (unit?.deviceId === id && unit.spkiSha256 === spkiSha256) return;
  const conflict = state.factories.quarantineOf(issuer, { serial });
  if (conflict !== undefined) {
    throw new KeysteadError('requester.quarantined', { field, seen: `${id} of ${issuer}: ${conflict}` });
  }
  throw new KeysteadError('requester.not-reconciled', { field, seen: `${id} of ${issuer}` });
}

/** Whether the certificate of the factory's CA is revoked: at its close, or by a revocation of it as a certificate. */
export function isRevoked({ closed, inForce, manufacturing }: Factory, state: KeydState): boolean {
  return closed?.revoked === true || state.isListed(inForce.certified.manufacturing.issuer, manufacturing.serial);
}
