import type { DerCertificate } from '@keystead/core/bytes';
import {
  CMP_NONCE_OCTETS,
  type CmpHeader,
  type CmpInfo,
  cmpMessage,
  directoryName,
  freshlySalted,
  headerDer,
  passwordMacDer,
} from '@keystead/core/cmp';
import { type PasswordMac, passwordMac, randomBytes, type SecretBytes } from '@keystead/core/crypto';
import { readCertificate, signatureAlgorithmDer } from '@keystead/core/x509';
import type { CmpAuthority } from './domain.ts';

/** By what an answer is protected: as its request was (RFC 9483 section 3.2). */
export type AnswerProtection =
  | { readonly kind: 'signature' }
  | { readonly kind: 'mac'; readonly mac: PasswordMac; readonly secret: SecretBytes };

export interface AnswerParts {
  /** The header that is answered; undefined where it could not be read. */
  readonly header: CmpHeader | undefined;
  readonly body: Uint8Array;
  readonly nonce?: Uint8Array;
  readonly generalInfo?: readonly CmpInfo[];
  /** CA certificates above an issued one. */
  readonly chain?: readonly DerCertificate[];
  readonly protection: AnswerProtection;
  readonly now: Date;
}

/** An answer without protection, for where there is no key to make one. */
export const unprotectedAnswer = ({ header, body, now }: Omit<AnswerParts, 'protection'>): Promise<Uint8Array> =>
  cmpMessage({ header: headerDer({ ...common(header, now), sender: directoryName(), generalInfo: [] }), body });

/** A protected answer, DER. @throws what the signer throws. */
export async function protectedAnswer(parts: AnswerParts, authority: CmpAuthority): Promise<Uint8Array> {
  const { header, body, protection, now, nonce, generalInfo = [], chain = [] } = parts;
  const own = readCertificate(authority.certificate);
  const base = { ...common(header, now, nonce), sender: directoryName(own.subjectDer), generalInfo };
  if (protection.kind === 'mac') {
    const mac = freshlySalted(protection.mac);
    return cmpMessage({
      header: headerDer({ ...base, protectionAlg: passwordMacDer(mac), senderKid: header?.senderKid }),
      body,
      protect: (octets) => passwordMac(mac, protection.secret, octets),
      extraCerts: chain,
    });
  }
  const { signer, certificate } = authority;
  const above = [...authority.chain, ...chain].filter((der, at, all) => all.findIndex((one) => same(one, der)) === at);
  return cmpMessage({
    header: headerDer({
      ...base,
      protectionAlg: signatureAlgorithmDer(signer.signatureAlgorithm),
      senderKid: own.ski === undefined ? undefined : Buffer.from(own.ski, 'hex'),
    }),
    body,
    protect: (octets) => signer.sign(octets),
    extraCerts: [certificate, ...above],
  });
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

function common(
  header: CmpHeader | undefined,
  now: Date,
  nonce = randomBytes(CMP_NONCE_OCTETS),
): Omit<CmpHeader, 'sender' | 'generalInfo'> {
  return {
    version: header?.version ?? 2,
    recipient: header?.sender ?? directoryName(),
    messageTime: now,
    transactionId: header?.transactionId,
    senderNonce: nonce,
    recipNonce: header?.senderNonce,
  };
}
