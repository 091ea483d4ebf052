import type { DerCertificate } from '@keystead/core/bytes';
import {
  type CmpBody,
  type CmpHeader,
  type CmpInfo,
  type CmpStatusInfo,
  cmpMessage,
  defaultPasswordMac,
  directoryName,
  headerDer,
  isMacOf,
  parseCmpMessage,
  passwordMacDer,
  readProtection,
  verifySigned,
} from '@keystead/core/cmp';
import { type PasswordMac, passwordMac, randomBytes, SecretBytes, type Signer } from '@keystead/core/crypto';
import {
  bitString,
  context,
  integer,
  integerFromBytes,
  nameDer,
  oid,
  readCertificate,
  sequence,
  signatureAlgorithmDer,
} from '@keystead/core/x509';
import type { TestKey } from '../../keyd/tests/bed.ts';
import type { CmpBed } from './cmp-bed.ts';

/** By what a message is protected; a wrong certificate or secret is the test's own doing. */
export type By =
  | { readonly certificate: DerCertificate; readonly signer: Signer; readonly extraCerts?: readonly DerCertificate[] }
  | { readonly reference: string; readonly secret: string; readonly mac?: PasswordMac };

export interface Said {
  readonly by?: By;
  readonly body: Uint8Array;
  readonly header?: Partial<CmpHeader>;
  /** What a man in the middle makes of the message. */
  readonly change?: (der: Uint8Array) => Uint8Array;
  readonly operation?: 'initialization' | 'getcacerts';
  readonly profile?: string;
}

export interface Heard {
  readonly status: number;
  readonly header: CmpHeader;
  readonly body: CmpBody;
  /** The failure and the words of a refusal. */
  readonly refused?: CmpStatusInfo;
  readonly protection: 'mac' | 'signature' | 'none';
  readonly extraCerts: readonly DerCertificate[];
}

/** Speaks CMP as no honest client does: each field is the test's. The protection of every answer is verified. */
export class Speaker {
  readonly #bed: CmpBed;
  constructor(bed: CmpBed) {
    this.#bed = bed;
  }

  /** The message that would be sent. */
  async message({ by, body, header = {}, change = (der) => der }: Said): Promise<Uint8Array> {
    const base = {
      version: 2 as const,
      sender: directoryName(),
      recipient: directoryName(),
      messageTime: this.#bed.domain.clock.now(),
      transactionId: randomBytes(16),
      senderNonce: randomBytes(16),
      generalInfo: [] as CmpInfo[],
    };
    if (by === undefined) return change(await cmpMessage({ header: headerDer({ ...base, ...header }), body }));
    if ('reference' in by) {
      const mac = by.mac ?? defaultPasswordMac();
      const own = { protectionAlg: passwordMacDer(mac), senderKid: Buffer.from(by.reference, 'latin1') };
      using secret = SecretBytes.copy(Buffer.from(by.secret, 'latin1'));
      const protect = (octets: Uint8Array) => passwordMac(mac, secret, octets);
      return change(await cmpMessage({ header: headerDer({ ...base, ...own, ...header }), body, protect }));
    }
    const { certificate, signer, extraCerts = [certificate] } = by;
    const own = {
      sender: directoryName(readCertificate(certificate).subjectDer),
      protectionAlg: signatureAlgorithmDer(signer.signatureAlgorithm),
    };
    const protect = (octets: Uint8Array) => signer.sign(octets);
    return change(await cmpMessage({ header: headerDer({ ...base, ...own, ...header }), body, protect, extraCerts }));
  }

  async say(said: Said): Promise<Heard> {
    return this.send(await this.message(said), said);
  }

  async send(message: Uint8Array, { by, operation, profile }: Partial<Said> = {}): Promise<Heard> {
    const { status, body: der } = await this.#bed.responder.answer({
      message,
      operation,
      profile,
      requestId: 'speaker',
    });
    const heard = parseCmpMessage(der);
    const body = heard.body();
    const refused =
      body.type === 'error' || body.type === 'rp'
        ? body.status
        : 'certReqId' in body && 'status' in body
          ? body.status
          : undefined;
    return {
      status,
      header: heard.header,
      body,
      refused: refused?.status === 'rejection' ? refused : undefined,
      protection: await protectionOf(heard, by),
      extraCerts: heard.extraCerts,
    };
  }
}

async function protectionOf(
  heard: ReturnType<typeof parseCmpMessage>,
  by: By | undefined,
): Promise<Heard['protection']> {
  if (heard.header.protectionAlg === undefined) return 'none';
  const protection = readProtection(heard.header.protectionAlg);
  if (protection.kind === 'signature') {
    const [signer] = heard.extraCerts;
    if (signer === undefined) throw new TypeError('a signature without a signer');
    verifySigned(heard, protection.algorithm, readCertificate(signer).spki);
    return 'signature';
  }
  if (by === undefined || !('reference' in by)) throw new TypeError('a MAC for whom?');
  using secret = SecretBytes.copy(Buffer.from(by.secret, 'latin1'));
  if (!(await isMacOf(heard, protection.mac, secret))) throw new TypeError('a wrong MAC in an answer');
  return 'mac';
}

/** What a CertReqMsg says. */
export interface CrmfWish {
  readonly name: string;
  readonly key: TestKey;
  readonly certReqId?: number;
  /** In place of the proof of possession by signature. */
  readonly popo?: Uint8Array | 'none';
  /** Fields of the template besides subject and key, tagged. */
  readonly before?: readonly Uint8Array[];
  readonly after?: readonly Uint8Array[];
  readonly controls?: readonly Uint8Array[];
  readonly signer?: Signer;
}

/** A CertReqMsg (RFC 4211). */
export async function crmf(wish: CrmfWish): Promise<Uint8Array> {
  const { name, key, certReqId = 0, before = [], after = [], controls = [], signer = key.signer } = wish;
  const spki = Uint8Array.from(key.spki);
  spki[0] = 0xa6;
  const subject = context(5, nameDer({ rdns: [{ type: 'CN', value: name }] }));
  const template = sequence(...before, subject, spki, ...after);
  const request = sequence(integer(certReqId), template, ...(controls.length === 0 ? [] : [sequence(...controls)]));
  if (wish.popo === 'none') return sequence(request);
  if (wish.popo !== undefined) return sequence(request, wish.popo);
  const signature = await signer.sign(request);
  return sequence(request, context(1, signatureAlgorithmDer(signer.signatureAlgorithm), bitString(signature)));
}

/** The control oldCertId. */
export function oldCertId(certificate: DerCertificate): Uint8Array {
  const { issuerDer, serial } = readCertificate(certificate);
  return sequence(
    oid('1.3.6.1.5.5.7.5.1.5'),
    sequence(directoryName(issuerDer), integerFromBytes(Buffer.from(serial, 'hex'))),
  );
}
