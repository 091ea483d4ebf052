import type { DerCertificate } from '@keystead/core/bytes';
import {
  CMP_NONCE_OCTETS,
  type CmpBody,
  type CmpConfirmation,
  type CmpHeader,
  type CmpMessage,
  errorBody,
  generalBody,
  issueBody,
  parseCertReqMsg,
  parseCmpMessage,
  pkiConfBody,
  requireIdentifiers,
  requireMessageTime,
  revocationBody,
} from '@keystead/core/cmp';
import { randomBytes, type SecretBytes } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import {
  EMPTY_NAME,
  formatName,
  parseName,
  parseRequest,
  readCertificate,
  sameName,
  verifyProofOfPossession,
} from '@keystead/core/x509';
import type { Logger } from 'pino';
import { asKeysteadError } from '../http/status.ts';
import { type AnswerProtection, protectedAnswer, unprotectedAnswer } from './answer.ts';
import type { CmpDomain, CmpReference } from './domain.ts';
import { ANSWER_OF, asksImplicit, isHashOf, issuedReply, profileIn, type Reply } from './enrolment-reply.ts';
import { httpStatusOf, rejection } from './failure.ts';
import { informOf } from './general-info.ts';
import { type CmpOperation, takes } from './operations.ts';
import { Protections, type Verified } from './protections.ts';

export interface CmpAsked {
  /** PKIMessage, DER. */
  readonly message: Uint8Array;
  /** From the address (RFC 9483 section 6.1). */
  readonly operation?: CmpOperation;
  readonly profile?: string;
  readonly requestId: string;
}

export interface CmpAnswer {
  readonly status: number;
  readonly body: Uint8Array;
}

const NOTHING_HELD: AnswerProtection = { kind: 'signature' };
/**
 * The server side of the lightweight CMP profile (RFC 9483). Nothing is done before the protection of a message is
 * verified: by the key of a certificate of ours, or by the secret of an enrolment authorisation; and every answer is
 * protected in the same way, so that HTTP is only its carrier.
 */
export class CmpResponder {
  readonly #domain: CmpDomain;
  readonly #log: Logger;
  readonly #protections: Protections;
  /** What the domain refused, it has audited. */
  readonly #audited = new WeakSet<KeysteadError>();

  constructor(domain: CmpDomain, log: Logger) {
    this.#domain = domain;
    this.#log = log;
    this.#protections = new Protections(domain, (answer) => this.#asked(answer));
  }

  /** The answer to a message. Never throws: what fails is an answer that says so. */
  async answer(asked: CmpAsked): Promise<CmpAnswer> {
    let message: CmpMessage;
    try {
      message = parseCmpMessage(asked.message);
    } catch (thrown) {
      const error = await this.#told(thrown, asked.requestId);
      return this.#refusal(error, undefined, NOTHING_HELD, asked.requestId, 400);
    }
    const { header } = message;
    // The secret of a MAC protects the answer as well, and is wiped when that is made.
    const held: { secret?: SecretBytes } = {};
    let verified: Verified | undefined;
    try {
      // Without the signer there is no answer that a client could believe.
      await this.#asked(this.#domain.authority());
      const references = await this.#examine(asked, message);
      verified = await this.#protections.verify(message, asked.requestId, held);
      requireMessageTime(header, this.#domain.now());
      const reply = await this.#reply(asked, message, { ...references, requester: verified.requester });
      const { nonce } = references;
      return { status: 200, body: await this.#protect({ header, nonce, ...reply, protection: verified.protection }) };
    } catch (thrown) {
      const error = await this.#told(thrown, asked.requestId);
      return await this.#refusal(error, header, verified?.protection ?? NOTHING_HELD, asked.requestId);
    } finally {
      held.secret?.wipe();
    }
  }

  /** What can be said of a message by its header alone. */
  async #examine(
    { operation, requestId, message: der }: CmpAsked,
    { header, bodyType }: CmpMessage,
  ): Promise<Omit<CmpReference, 'requester'>> {
    const { transactionId } = requireIdentifiers(header);
    if (operation !== undefined && !takes(operation, bodyType)) {
      throw new KeysteadError('cmp.body-unsupported', { field: operation, seen: bodyType });
    }
    await this.#requireRecipient(header);
    const nonce = randomBytes(CMP_NONCE_OCTETS);
    return { transactionId, recipNonce: header.recipNonce, nonce, requestId, message: der };
  }

  async #requireRecipient({ recipientName }: CmpHeader): Promise<void> {
    if (recipientName !== undefined) {
      if (sameName(recipientName, EMPTY_NAME)) return;
      const { certificate } = await this.#asked(this.#domain.authority());
      const names = [...this.#domain.names, readCertificate(certificate).subjectDer];
      if (names.some((name) => sameName(parseName(name), recipientName))) return;
    }
    const seen = recipientName === undefined ? 'no name of a directory' : formatName(recipientName).slice(0, 120);
    throw new KeysteadError('cmp.recipient-wrong', { field: 'recipient', seen });
  }

  async #reply(asked: CmpAsked, message: CmpMessage, reference: CmpReference): Promise<Reply> {
    const body = message.body();
    switch (body.type) {
      case 'ir':
      case 'cr':
      case 'kur':
      case 'p10cr':
        return this.#enrol(asked, message, body, reference);
      case 'pollReq':
        return issuedReply(
          await this.#asked(this.#domain.poll(reference, !asksImplicit(message.header))),
          message,
          reference.requester,
          this.#domain,
        );
      case 'certConf':
        return this.#confirmed(body.confirmation, reference);
      case 'rr':
        return this.#revoke(body, reference);
      case 'genm':
        // RFC 9483 section 4.3: one question. Several could ask for more lists than there is memory.
        if (body.infos.length > 1) {
          throw new KeysteadError('cmp.one-request', { field: 'genm', seen: `${body.infos.length} questions` });
        }
        return {
          body: generalBody(
            'genp',
            body.infos.map((info) => informOf(this.#domain, info)),
          ),
        };
      case 'error':
        // A client that gives up (RFC 9810 section 5.3.21) is confirmed; what it did not confirm lapses.
        return { body: pkiConfBody() };
      default:
        throw new KeysteadError('cmp.body-unsupported', { field: 'body', seen: body.type });
    }
  }

  async #enrol(
    { profile, requestId }: CmpAsked,
    message: CmpMessage,
    body: CmpBody & { type: 'ir' | 'cr' | 'kur' | 'p10cr' },
    reference: CmpReference,
  ): Promise<Reply> {
    const { type: kind, request } = body;
    const format = kind === 'p10cr' ? 'pkcs10' : 'crmf';
    const confirms = !asksImplicit(message.header);
    let certReqId = -1;
    try {
      // Before anything is looked up: an answer to the same request is for the holder of its key.
      verifyProofOfPossession(parseRequest(request, format));
      if (format === 'crmf') certReqId = parseCertReqMsg(request).certReqId;
      const asked = profile ?? profileIn(message.header);
      const order = { ...reference, kind, certReqId, format, request, profile: asked, confirms } as const;
      return issuedReply(await this.#asked(this.#domain.enrol(order)), message, reference.requester, this.#domain);
    } catch (thrown) {
      const error = await this.#told(thrown, requestId);
      if (httpStatusOf(error) !== 200) throw error;
      return { body: issueBody(ANSWER_OF[kind], { certReqId, status: rejection(error, requestId), caPubs: [] }) };
    }
  }

  async #confirmed(confirmation: CmpConfirmation | undefined, reference: CmpReference): Promise<Reply> {
    const accepted = confirmation !== undefined && confirmation.status.status !== 'rejection';
    // Without any confirmation there is no hash, and every certificate is meant.
    const matches = (certificate: DerCertificate): boolean =>
      confirmation === undefined || isHashOf(confirmation, certificate);
    await this.#asked(this.#domain.confirm(reference, { accepted, matches }));
    return { body: pkiConfBody() };
  }

  async #revoke(wanted: CmpBody & { type: 'rr' }, { requester, requestId }: CmpReference): Promise<Reply> {
    try {
      await this.#asked(this.#domain.revoke(requester, wanted, requestId));
      return { body: revocationBody({ status: 'accepted' }, wanted) };
    } catch (thrown) {
      const error = await this.#told(thrown, requestId);
      if (httpStatusOf(error) !== 200) throw error;
      return { body: revocationBody(rejection(error, requestId)) };
    }
  }

  async #refusal(
    error: KeysteadError,
    header: CmpHeader | undefined,
    protection: AnswerProtection,
    requestId: string,
    status = httpStatusOf(error),
  ): Promise<CmpAnswer> {
    const parts = { header, body: errorBody(rejection(error, requestId)) };
    try {
      return { status, body: await this.#protect({ ...parts, protection }) };
    } catch (thrown) {
      // There is nobody to sign it: better an error that cannot be believed than none.
      this.#known(thrown, requestId);
      return { status, body: await unprotectedAnswer({ ...parts, now: this.#domain.now() }) };
    }
  }

  async #protect(parts: Omit<Parameters<typeof protectedAnswer>[0], 'now'>): Promise<Uint8Array> {
    return protectedAnswer({ ...parts, now: this.#domain.now() }, await this.#domain.authority());
  }

  /** Waits for the domain, and takes note of what it refuses. */
  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      if (error instanceof KeysteadError) this.#audited.add(error);
      throw error;
    }
  }

  /** What was thrown, after it stands in the audit log. */
  async #told(thrown: unknown, requestId: string): Promise<KeysteadError> {
    const error = this.#known(thrown, requestId);
    if (!this.#audited.has(error)) await this.#domain.refused(error, requestId);
    this.#audited.add(error);
    return error;
  }

  #known(thrown: unknown, requestId: string): KeysteadError {
    const error = asKeysteadError(thrown);
    if (error.code === 'internal.unexpected') this.#log.error({ requestId, err: thrown }, 'unexpected failure');
    return error;
  }
}
