import { createHash } from 'node:crypto';
import type { DerCertificate, DerCsr } from '@keystead/core/bytes';
import { sameBytes } from '@keystead/core/bytes';
import type { Clock } from '@keystead/core/clock';
import {
  CMP_NONCE_OCTETS,
  type CmpBody,
  type CmpInfo,
  type CmpIssue,
  type CmpMessage,
  certConfBody,
  cmpMessage,
  directoryName,
  generalBody,
  headerDer,
  INFO_TYPES,
  p10crBody,
  parseCmpMessage,
  readCaCerts,
  readProtection,
  verifySigned,
} from '@keystead/core/cmp';
import { DIGEST_OF, randomBytes, type Signer } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkPath, parseCsr, readCertificate, signatureAlgorithmDer } from '@keystead/core/x509';
import type { DeviceIdentity } from '../state/index.ts';
import { CmpRefusal } from './cmp-error.ts';
import { postCmp } from './cmp-transport.ts';
import type { EnrolAnswer } from './est-client.ts';
import { identitySigner } from './identity-signer.ts';

export interface CmpOptions {
  /** `http://host:port/.well-known/cmp` or `https:`; messages protect themselves, so either will do. */
  readonly url: string;
  readonly clock: Clock;
  /** The pinned anchors that the signer of every answer must chain to, DER. */
  readonly anchors: () => readonly DerCertificate[];
  /** CA certificates below the anchors that the device knows, DER. */
  readonly intermediates?: () => readonly DerCertificate[];
  /** The key that a TPM or secure element holds (`TpmDevice.signer()`); other keys are lent by the state. */
  readonly held?: Signer;
  /** For connecting, and again for the answer, milliseconds; default 10000. */
  readonly timeoutMs?: number;
}

/** One exchange of messages with its server. */
interface Exchange {
  readonly signer: Signer;
  readonly identity: DeviceIdentity;
  readonly transactionId: Uint8Array;
  /** The nonce of the server's last answer. */
  recipNonce?: Uint8Array;
}

/** Where the server does not say how long to wait. */
const DEFAULT_RETRY_SECONDS = 60;
const NULL = Uint8Array.of(0x05, 0x00);

/**
 * The client side of CMP, as much of the lightweight profile (RFC 9483) as a device needs: certificates for its PKCS#10
 * requests (section 4.1.4), which stay the same when they are sent again, confirmation, and the CA certificates (section
 * 4.3.1). Each message is signed with the key of the device, which may be in a TPM: no TLS is needed, and so no key that
 * node:tls could use. An answer is believed when a registration authority under a pinned anchor signed it for this very
 * message.
 *
 * It takes the place of `EstClient` in the renewal loop. Every method throws KeysteadError: `peer.unreachable`,
 * `cmp.answer-untrusted`, `cmp.malformed`, CmpRefusal with the server's words, and what the key's holder throws.
 */
export class CmpClient {
  readonly #options: CmpOptions;

  constructor(options: CmpOptions) {
    this.#options = options;
  }

  /** The CA certificates of the server, without its root. They are information, not trust. */
  async caCertificates(identity?: DeviceIdentity): Promise<DerCertificate[]> {
    if (identity === undefined) throw new KeysteadError('state.no-credential', { field: 'caCertificates' });
    const { body } = await this.#send(this.#begin(identity), generalBody('genm', [{ type: INFO_TYPES.caCerts }]));
    const info = body.type === 'genp' ? body.infos.find(({ type }) => type === INFO_TYPES.caCerts) : undefined;
    if (info === undefined) throw untrusted('body', `${body.type}, for caCerts`);
    return readCaCerts(info.value);
  }

  /** Asks for a certificate in the name of `identity`, such as the IDevID. */
  enrol(identity: DeviceIdentity, csr: DerCsr): Promise<EnrolAnswer> {
    return this.#request(identity, csr);
  }

  /** Asks for the certificate that follows the one of `identity`. */
  reenrol(identity: DeviceIdentity, csr: DerCsr): Promise<EnrolAnswer> {
    return this.#request(identity, csr);
  }

  async #request(identity: DeviceIdentity, csr: DerCsr): Promise<EnrolAnswer> {
    const exchange = this.#begin(identity);
    // The certificate is checked, kept and proven by the state; until then the old one is used.
    const implicit: CmpInfo = { type: INFO_TYPES.implicitConfirm, value: NULL };
    const { body, message } = await this.#send(exchange, p10crBody(csr), [implicit]);
    if (body.type !== 'cp' && body.type !== 'ip') throw untrusted('body', `${body.type}, for p10cr`);
    const { status } = body.status;
    if (status === 'waiting') return { status: 'pending', retryAfterSeconds: DEFAULT_RETRY_SECONDS };
    const { certificate } = body;
    if (status === 'rejection' || certificate === undefined) throw new CmpRefusal('p10cr', body.status);
    const granted = message.header.generalInfo.some(({ type }) => type === INFO_TYPES.implicitConfirm);
    if (!granted) await this.#confirm(exchange, csr, body, certificate);
    return { status: 'issued', certificates: [certificate, ...message.extraCerts.slice(1)] };
  }

  async #confirm(exchange: Exchange, csr: DerCsr, { certReqId }: CmpIssue, certificate: DerCertificate): Promise<void> {
    const { spki, signatureAlgorithm } = readCertificate(certificate);
    const digest = (signatureAlgorithm === undefined ? null : DIGEST_OF[signatureAlgorithm]) ?? 'sha512';
    const own = sameBytes(spki, parseCsr(csr).spki);
    const certHash = new Uint8Array(createHash(digest).update(certificate).digest());
    const refusal = { status: 'rejection', text: 'not for the key that was asked for' } as const;
    const { body } = await this.#send(
      exchange,
      certConfBody({ certReqId, certHash, status: own ? undefined : refusal }),
    );
    if (body.type !== 'pkiconf') throw untrusted('body', `${body.type}, for certConf`);
    if (!own)
      throw new KeysteadError('enrol.certificate-refused', { field: 'key', seen: 'a certificate for another key' });
  }

  #begin(identity: DeviceIdentity): Exchange {
    return {
      identity,
      signer: identitySigner(identity, this.#options.held),
      transactionId: randomBytes(CMP_NONCE_OCTETS),
    };
  }

  /** Sends one message and judges the answer. @throws CmpRefusal for an error message. */
  async #send(
    exchange: Exchange,
    body: Uint8Array,
    generalInfo: readonly CmpInfo[] = [],
  ): Promise<{ body: CmpBody; message: CmpMessage }> {
    const { signer, identity, transactionId } = exchange;
    const { clock, url, timeoutMs } = this.#options;
    const own = readCertificate(identity.certificate);
    const senderNonce = randomBytes(CMP_NONCE_OCTETS);
    const header = headerDer({
      version: 2,
      sender: directoryName(own.subjectDer),
      recipient: directoryName(),
      messageTime: clock.now(),
      protectionAlg: signatureAlgorithmDer(signer.signatureAlgorithm),
      senderKid: own.ski === undefined ? undefined : Buffer.from(own.ski, 'hex'),
      transactionId,
      senderNonce,
      recipNonce: exchange.recipNonce,
      generalInfo,
    });
    const extraCerts = [identity.certificate, ...identity.chain];
    const der = await cmpMessage({ header, body, protect: (octets) => signer.sign(octets), extraCerts });
    const answer = await postCmp(url, der, { ...this.#options, timeoutMs: timeoutMs ?? 10_000 });
    const message = this.#judge(parseCmpMessage(answer), transactionId, senderNonce);
    exchange.recipNonce = message.header.senderNonce;
    const said = message.body();
    if (said.type === 'error') throw new CmpRefusal('error', said.status, said.details);
    return { body: said, message };
  }

  /** @throws KeysteadError `cmp.answer-untrusted`, `cmp.protection-invalid`. */
  #judge(message: CmpMessage, transactionId: Uint8Array, nonce: Uint8Array): CmpMessage {
    const { header, extraCerts } = message;
    if (header.transactionId === undefined || !sameBytes(header.transactionId, transactionId)) {
      throw untrusted('transactionID', 'another');
    }
    if (header.recipNonce === undefined || !sameBytes(header.recipNonce, nonce))
      throw untrusted('recipNonce', 'another');
    const protection = header.protectionAlg === undefined ? undefined : readProtection(header.protectionAlg);
    const [signer, ...others] = extraCerts;
    if (protection?.kind !== 'signature' || signer === undefined) throw untrusted('protection', 'no signature');
    const { anchors, intermediates, clock } = this.#options;
    const path = checkPath(signer, [...others, ...(intermediates?.() ?? [])], [...anchors()], {
      now: clock.now(),
      extKeyUsage: 'cmcRA',
    });
    if (!path.ok) throw untrusted('extraCerts', `${path.rule} at ${path.at}`);
    verifySigned(message, protection.algorithm, readCertificate(signer).spki);
    return message;
  }
}

const untrusted = (field: string, seen: string): KeysteadError =>
  new KeysteadError('cmp.answer-untrusted', { field, seen });
