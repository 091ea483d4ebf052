import type { DerCertificate, DerCrl } from '@keystead/core/bytes';
import { sameBytes } from '@keystead/core/bytes';
import { type ErrorCode, KeysteadError } from '@keystead/core/errors';
import {
  type CertificateName,
  certsOnly,
  crlsOnly,
  formatName,
  type ParsedCsr,
  parseCsr,
  parseName,
  readIssuerAndSerial,
  readIssuerAndSubject,
  sameName,
  verifyProofOfPossession,
} from '@keystead/core/x509';
import { asKeysteadError } from '../http/status.ts';
import { openMessage, readMessage, type ScepMessage, type ScepRa } from './message.ts';
import type { FailInfo } from './oids.ts';
import { failure, pending, success } from './reply.ts';
import { Transactions, type Waiting } from './transactions.ts';

export interface ScepIssued {
  readonly certificate: DerCertificate;
}

/** A request that an operator has yet to decide. */
export interface ScepPending {
  readonly pending: string;
}

/** What SCEP needs of the domain. Each throws KeysteadError, audited. */
export interface ScepDomain {
  /** Those whose certificates have not ended; the first signs answers. */
  ras(): readonly [ScepRa, ...ScepRa[]];
  /** The CA that issues, and the anchor above it. */
  caCertificates(): readonly DerCertificate[];
  /** The id of the authorisation that a challengePassword opens. */
  authorise(challenge: string, requestId: string): Promise<string>;
  /** A first certificate under an authorisation. Durable when it resolves; the same request again gets the same. */
  enrol(waiting: Waiting, requestId: string): Promise<ScepIssued | ScepPending>;
  /** The next certificate of who signed with the current one, DER. Durable when it resolves. */
  renew(signer: DerCertificate, csr: Uint8Array, requestId: string): Promise<ScepIssued>;
  /** A certificate, for who signed with one of ours. @throws KeysteadError `scep.certificate-unknown`. */
  certificate(signer: DerCertificate, name: CertificateName, requestId: string): Promise<DerCertificate>;
  /** The newest CRL of an issuer. @throws KeysteadError `scep.certificate-unknown`. */
  crl(name: CertificateName): DerCrl;
  /** What never became a request to the domain. */
  refused(error: KeysteadError, requestId: string): Promise<void>;
}

/** Failures with a failInfo of their own (RFC 8894 section 3.2.1.4); any other refusal is badRequest. */
const FAIL_INFO_OF: Partial<Record<ErrorCode, FailInfo>> = {
  'cms.algorithm': 'badAlg',
  'cms.recipient-unfit': 'badAlg',
  'cms.signature-invalid': 'badMessageCheck',
  'cms.message-malformed': 'badMessageCheck',
  'cert.not-der': 'badMessageCheck',
  'scep.message-unreadable': 'badMessageCheck',
  'scep.certificate-unknown': 'badCertId',
};

/** PKIOperation (RFC 8894 section 3): one message in, one out. */
export class ScepOperations {
  readonly #domain: ScepDomain;
  readonly #transactions = new Transactions();

  constructor(domain: ScepDomain) {
    this.#domain = domain;
  }

  /**
   * The CertRep to a message, DER. A refusal is a CertRep as well.
   * @throws KeysteadError `cms.message-malformed`, `scep.attributes` for what cannot be answered; `internal.unexpected`
   *   and what is unavailable, so that the client asks again.
   */
  async answer(der: Uint8Array, requestId: string): Promise<Uint8Array> {
    const { message, reference } = readMessage(der);
    const [ra] = this.#domain.ras();
    try {
      const request = openMessage(message, reference, this.#domain.ras());
      using _content = request.content;
      this.#transactions.requireFresh(request, der);
      const content = await this.#carryOut(request, requestId);
      return await (content === undefined ? pending(ra, request) : success(ra, request, content));
    } catch (thrown) {
      const error = asKeysteadError(thrown);
      if (error.kind === 'internal' || error.kind === 'unavailable') throw thrown;
      if (OWN.test(error.code)) await this.#domain.refused(error, requestId);
      return failure(ra, reference, FAIL_INFO_OF[error.code] ?? 'badRequest', error);
    }
  }

  /** What the answer holds, DER; undefined while an operator has yet to decide. */
  async #carryOut(request: ScepMessage, requestId: string): Promise<Uint8Array | undefined> {
    switch (request.type) {
      case 'PKCSReq':
        return this.#enrol(request, requestId);
      case 'RenewalReq': {
        const { der } = requestIn(request);
        const { certificate } = await this.#domain.renew(request.signer.der, der, requestId);
        return this.#issued(certificate);
      }
      case 'CertPoll':
        return this.#poll(request, requestId);
      case 'GetCert': {
        const name = readable(request, readIssuerAndSerial);
        return certsOnly([await this.#domain.certificate(request.signer.der, name, requestId)]);
      }
      case 'GetCRL':
        return crlsOnly([this.#domain.crl(readable(request, readIssuerAndSerial))]);
    }
  }

  async #enrol(request: ScepMessage, requestId: string): Promise<Uint8Array | undefined> {
    const csr = requestIn(request);
    if (!sameBytes(csr.spki, request.signer.spki))
      throw new KeysteadError('scep.key-differs', { field: 'signer', seen: 'another key than that of the request' });
    this.#transactions.requireOwn(request, csr.der);
    if (csr.challengePassword === undefined) throw new KeysteadError('scep.challenge', { field: 'challengePassword' });
    const authorisationId = await this.#domain.authorise(csr.challengePassword, requestId);
    return this.#outcome(request, { authorisationId, csr: csr.der }, requestId);
  }

  /** The client names its own subject and the issuer; what counts is its transaction and its key (section 3.3.3). */
  async #poll(request: ScepMessage, requestId: string): Promise<Uint8Array | undefined> {
    const subject = readable(request, (der) => parseName(readIssuerAndSubject(der).subject));
    const waiting = this.#transactions.waiting(request);
    if (!sameName(subject, parseCsr(waiting.csr).subject))
      throw new KeysteadError('scep.certificate-unknown', { field: 'subject', seen: formatName(subject).slice(0, 64) });
    return this.#outcome(request, waiting, requestId);
  }

  async #outcome(request: ScepMessage, waiting: Waiting, requestId: string): Promise<Uint8Array | undefined> {
    try {
      const outcome = await this.#domain.enrol(waiting, requestId);
      if ('pending' in outcome) {
        this.#transactions.wait(request, waiting);
        return undefined;
      }
      this.#transactions.end(request);
      return this.#issued(outcome.certificate);
    } catch (error) {
      // Refused for good. What is only unavailable still waits.
      if (error instanceof KeysteadError && error.kind !== 'unavailable') this.#transactions.end(request);
      throw error;
    }
  }

  /** The certificate first: that is the one that clients take. */
  #issued(certificate: DerCertificate): Uint8Array {
    const [issuing] = this.#domain.caCertificates();
    return certsOnly(issuing === undefined ? [certificate] : [certificate, issuing]);
  }
}

/** What this file and the codec refuse; the domain audits what it refuses by itself. */
const OWN = /^(scep\.(message|attributes|key|transaction|replayed)|cms\.|cert\.|csr\.names)/;

/**
 * The certification request in a message, with its proof of possession. Until that is verified, whatever is wrong has one
 * answer: content that was tampered with in transit, or taken from another's message, tells nothing about itself
 * (a padding oracle would give away another's challengePassword; Vaudenay 2002).
 * @throws KeysteadError `scep.message-unreadable`.
 */
const requestIn = (request: ScepMessage): ParsedCsr =>
  readable(request, (der) => {
    const csr = parseCsr(der);
    verifyProofOfPossession(csr);
    return csr;
  });

function readable<T>({ content }: ScepMessage, read: (der: Uint8Array) => T): T {
  try {
    return content.use(read);
  } catch (cause) {
    if (cause instanceof KeysteadError && cause.kind !== 'unavailable' && cause.kind !== 'internal')
      throw new KeysteadError('scep.message-unreadable', { field: 'pkcsPKIEnvelope' });
    throw cause;
  }
}
