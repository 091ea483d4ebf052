import { createHash } from 'node:crypto';
import { type DerCertificate, sameBytes } from '@keystead/core/bytes';
import {
  CMP_NONCE_OCTETS,
  type CmpBody,
  type CmpConfirmation,
  type CmpHeader,
  type CmpInfo,
  type CmpMessage,
  caCertsValue,
  certReqTemplateValue,
  confirmWaitTimeValue,
  crlsValue,
  errorBody,
  generalBody,
  INFO_TYPES,
  isMacOf,
  issueBody,
  parseCertReqMsg,
  parseCmpMessage,
  pkiConfBody,
  pollRepBody,
  readCertProfile,
  readCrlStatusList,
  readProtection,
  readRootCaCert,
  requireIdentifiers,
  requireMessageTime,
  revocationBody,
  rootUpdateValue,
  verifySigned,
} from '@keystead/core/cmp';
import { DIGEST_OF, randomBytes, type SecretBytes } from '@keystead/core/crypto';
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
import type { CmpDomain, CmpOutcome, CmpReference, CmpRequester } from './domain.ts';
import { httpStatusOf, rejection } from './failure.ts';
import { MacWork } from './mac-work.ts';
import { type CmpOperation, takes } from './operations.ts';

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

/** A message whose protection is verified. */
interface Verified {
  readonly requester: CmpRequester;
  readonly protection: AnswerProtection;
}

/** What an answer says, before it is protected. */
interface Reply {
  readonly body: Uint8Array;
  readonly generalInfo?: readonly CmpInfo[];
  readonly chain?: readonly DerCertificate[];
}

const ANSWER_OF = { ir: 'ip', cr: 'cp', p10cr: 'cp', kur: 'kup' } as const;
const NOTHING_HELD: AnswerProtection = { kind: 'signature' };
/** The reference of a shared secret is the id of an authorisation: at most 64 characters. */
const REFERENCE = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;

/**
 * The server side of the lightweight CMP profile (RFC 9483). Nothing is done before the protection of a message is
 * verified: by the key of a certificate of ours, or by the secret of an enrolment authorisation; and every answer is
 * protected in the same way, so that HTTP is only its carrier.
 */
export class CmpResponder {
  readonly #domain: CmpDomain;
  readonly #log: Logger;
  readonly #macs = new MacWork();
  /** What the domain refused, it has audited. */
  readonly #audited = new WeakSet<KeysteadError>();

  constructor(domain: CmpDomain, log: Logger) {
    this.#domain = domain;
    this.#log = log;
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
      verified = await this.#verify(message, asked.requestId, held);
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

  /** @throws KeysteadError `cmp.protection-*`, `cmp.algorithm-unsupported`, `authorisation.*`, `client.certificate-*`. */
  async #verify(message: CmpMessage, requestId: string, held: { secret?: SecretBytes }): Promise<Verified> {
    const { header } = message;
    if (header.protectionAlg === undefined || message.protection === undefined) {
      throw new KeysteadError('cmp.protection-missing', { field: 'protection' });
    }
    const protection = readProtection(header.protectionAlg);
    if (protection.kind === 'mac') {
      const id = Buffer.from(header.senderKid ?? []).toString('latin1');
      if (!REFERENCE.test(id))
        throw new KeysteadError('cmp.header-incomplete', { field: 'senderKID', seen: 'no reference' });
      // An id that does not exist gets the answer of a wrong secret, and the state of one is for its holder.
      const secret = await this.#asked(this.#domain.secretOf(id, requestId));
      held.secret = secret;
      if (!(await this.#macs.run(id, () => isMacOf(message, protection.mac, secret)))) {
        throw new KeysteadError('cmp.protection-invalid', { field: 'protection', seen: id });
      }
      await this.#asked(this.#domain.admitAuthorisation(id, requestId));
      const requester: CmpRequester = { kind: 'authorisation', id };
      return { requester, protection: { kind: 'mac', mac: protection.mac, secret: held.secret } };
    }
    const [certificate] = message.extraCerts;
    if (certificate === undefined)
      throw new KeysteadError('cmp.protection-invalid', { field: 'extraCerts', seen: 'none' });
    const signer = readCertificate(certificate);
    // First, for it is cheap: a key that nobody has checked can cost a hundred times as much as one of ours.
    await this.#asked(this.#domain.admit(certificate, requestId));
    verifySigned(message, protection.algorithm, signer.spki);
    if (header.senderName === undefined || !sameName(header.senderName, signer.subject)) {
      throw new KeysteadError('cmp.header-incomplete', { field: 'sender', seen: 'not the subject of the signer' });
    }
    return { requester: { kind: 'certificate', certificate }, protection: { kind: 'signature' } };
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
        return this.#issued(
          await this.#asked(this.#domain.poll(reference, !asksImplicit(message.header))),
          message,
          reference.requester,
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
            body.infos.map((info) => this.#inform(info)),
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
      return this.#issued(await this.#asked(this.#domain.enrol(order)), message, reference.requester);
    } catch (thrown) {
      const error = await this.#told(thrown, requestId);
      if (httpStatusOf(error) !== 200) throw error;
      return { body: issueBody(ANSWER_OF[kind], { certReqId, status: rejection(error, requestId), caPubs: [] }) };
    }
  }

  #issued(outcome: CmpOutcome, { header, bodyType }: CmpMessage, requester: CmpRequester): Reply {
    const { certReqId } = outcome;
    const type = isAnswered(outcome.kind) ? ANSWER_OF[outcome.kind] : 'ip';
    if ('retryAfterSeconds' in outcome) {
      if (bodyType === 'pollReq') return { body: pollRepBody(certReqId, outcome.retryAfterSeconds) };
      return { body: issueBody(type, { certReqId, status: { status: 'waiting' }, caPubs: [] }) };
    }
    const { certificate, chain, confirmUntil } = outcome;
    const generalInfo: CmpInfo[] = [];
    if (confirmUntil !== undefined) {
      generalInfo.push({ type: INFO_TYPES.confirmWaitTime, value: confirmWaitTimeValue(confirmUntil) });
    } else if (asksImplicit(header)) {
      generalInfo.push({ type: INFO_TYPES.implicitConfirm, value: NULL });
    }
    // Who shares a secret with us, and nothing else yet, may learn the root by it (RFC 9483 section 4.1.5).
    const caPubs = requester.kind === 'authorisation' && type === 'ip' ? this.#domain.caCertificates().slice(0, 1) : [];
    return {
      body: issueBody(type, { certReqId, status: { status: 'accepted' }, certificate, caPubs }),
      generalInfo,
      chain,
    };
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

  /** The answer to one question of a general message; without a value where there is nothing (RFC 9483 section 4.3). */
  #inform({ type, value }: CmpInfo): CmpInfo {
    switch (type) {
      case INFO_TYPES.caCerts:
        return { type, value: caCertsValue(this.#domain.caCertificates().slice(1)) };
      case INFO_TYPES.rootCaCert: {
        const update = this.#domain.rootUpdate(readRootCaCert(value));
        return { type: INFO_TYPES.rootCaKeyUpdate, value: update === undefined ? undefined : rootUpdateValue(update) };
      }
      case INFO_TYPES.rootCaKeyUpdate:
        // How the question was put before RFC 9483: there is no root to compare with.
        return { type };
      case INFO_TYPES.certReqTemplate:
        return { type, value: certReqTemplateValue(this.#domain.organization()) };
      case INFO_TYPES.crlStatusList: {
        const crls = this.#domain.crls(readCrlStatusList(value));
        return { type: INFO_TYPES.crls, value: crls.length === 0 ? undefined : crlsValue(crls) };
      }
      default:
        throw new KeysteadError('cmp.body-unsupported', { field: 'genm', seen: type });
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

const NULL = Uint8Array.of(0x05, 0x00);

const isAnswered = (kind: string): kind is keyof typeof ANSWER_OF => Object.hasOwn(ANSWER_OF, kind);

const asksImplicit = ({ generalInfo }: CmpHeader): boolean =>
  generalInfo.some(({ type }) => type === INFO_TYPES.implicitConfirm);

/** The one profile that a header names. @throws KeysteadError `cmp.malformed`, `cmp.profile-differs` for several. */
function profileIn({ generalInfo }: CmpHeader): string | undefined {
  const info = generalInfo.find(({ type }) => type === INFO_TYPES.certProfile);
  if (info === undefined) return undefined;
  const [name, ...more] = readCertProfile(info.value);
  if (more.length > 0) throw new KeysteadError('cmp.profile-differs', { field: 'certProfile', seen: 'several' });
  return name;
}

/** certHash is by the hash of the certificate's signature, unless it says otherwise (RFC 9810 section 5.3.18). */
function isHashOf({ certHash, hash, status }: CmpConfirmation, certificate: DerCertificate): boolean {
  if (certHash.length === 0) return status.status === 'rejection';
  const { signatureAlgorithm } = readCertificate(certificate);
  const digest = hash ?? (signatureAlgorithm === undefined ? null : DIGEST_OF[signatureAlgorithm]);
  // Ed25519 has no hash of its own: RFC 9481 section 3.3 says SHA-512.
  return sameBytes(
    createHash(digest ?? 'sha512')
      .update(certificate)
      .digest(),
    certHash,
  );
}
