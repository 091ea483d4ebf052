import { dirname, join } from 'node:path';
import type { SecretBytes } from '@keystead/core/crypto';
import type { OperationName, Params, Result } from '../keyd/protocol.ts';
import { KeydConnection } from './connection.ts';

export interface KeydClientOptions {
  /** How long to wait for an answer, milliseconds: keyd is on the same machine. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 15_000;
/** A list of millions on a slow token and a slow disk. */
const LIST_TIMEOUT_MS = 120_000;

/**
 * The front end's side of keyd. Calls go out at once, many at a time, and may be answered in another order. When
 * keyd goes away, what waits fails with `keyd.unreachable` (whether it was done is then unknown: ask again with the
 * same request), and the next call connects anew.
 *
 * Every call throws KeysteadError: keyd's own refusals with their code, `keyd.unreachable`, `keyd.unauthenticated`.
 */
export class KeydClient {
  readonly #connection: KeydConnection;
  readonly #path: string;
  readonly #timeoutMs: number;

  private constructor(path: string, key: SecretBytes, options: KeydClientOptions) {
    this.#connection = new KeydConnection(path, key);
    this.#path = path;
    this.#timeoutMs = options.timeoutMs ?? TIMEOUT_MS;
  }

  /**
   * Connects and proves itself. The key stays with the client, which wipes it in `close()`.
   * @param socketPath the Unix socket; its directory is open to its owner only.
   * @throws KeysteadError `keyd.unreachable`, `keyd.unauthenticated` (the other end has another channel key).
   */
  static async connect(
    socketPath: string,
    channelKey: SecretBytes,
    options: KeydClientOptions = {},
  ): Promise<KeydClient> {
    const client = new KeydClient(socketPath, channelKey, options);
    await client.#connection.connected();
    return client;
  }

  /** Who keyd is and how far its log, tickets and CRLs are. */
  status(): Promise<Result<'status'>> {
    return this.#call('status', {});
  }

  /** The certificates, verifier keys and policy of the ceremony. */
  trust(): Promise<Result<'trust'>> {
    return this.#call('trust', {});
  }

  /** One certificate by a profile of the policy. Durable in keyd's journal when it resolves. */
  issue(params: Params<'issue'>): Promise<Result<'issue'>> {
    return this.#call('issue', params);
  }

  /** A key that keyd makes for a device, wrapped to it, with its certificate. Durable in keyd's journal when it resolves. */
  issueServerKey(params: Params<'issueServerKey'>): Promise<Result<'issueServerKey'>> {
    return this.#call('issueServerKey', params);
  }

  /** One unit of a batch ticket: its IDevID and its signed provisioning record. */
  provision(params: Params<'provision'>): Promise<Result<'provision'>> {
    return this.#call('provision', params);
  }

  /** A challenge to the TPM of a unit: the first step of provisioning it with an attested key. */
  challengeAttestation(params: Params<'challengeAttestation'>): Promise<Result<'challengeAttestation'>> {
    return this.#call('challengeAttestation', params);
  }

  /** A challenge to the chip of a unit, whose certified key is to attest the unit's key. */
  challengeElement(params: Params<'challengeElement'>): Promise<Result<'challengeElement'>> {
    return this.#call('challengeElement', params);
  }

  /** A key that keyd makes for a unit, wrapped to it. The same unit and recipient get the same again. */
  makeUnitKey(params: Params<'makeUnitKey'>): Promise<Result<'makeUnitKey'>> {
    return this.#call('makeUnitKey', params);
  }

  /** The symmetric key that a device has for one purpose, wrapped to a key that the device signed. */
  deriveUnitKey(params: Params<'deriveUnitKey'>): Promise<Result<'deriveUnitKey'>> {
    return this.#call('deriveUnitKey', params);
  }

  /** The key that seals one of serve's own TLS keys; the caller wipes it. */
  tlsSealingKey(params: Params<'tlsSealingKey'>): Promise<Result<'tlsSealingKey'>> {
    return this.#call('tlsSealingKey', params);
  }

  /** A signed OCSP response (DER). keyd sets the times. */
  signOcsp(params: Params<'signOcsp'>): Promise<Result<'signOcsp'>> {
    return this.#call('signOcsp', params);
  }

  /** A signed CRL (DER), a long one as a file of {@link crlFile}. keyd sets the times. */
  signCrl(params: Params<'signCrl'>): Promise<Result<'signCrl'>> {
    return this.#call('signCrl', params, LIST_TIMEOUT_MS);
  }

  /** Puts revocations on keyd's list, for the next CRL. Durable in keyd's journal when it resolves. */
  listRevocations(params: Params<'listRevocations'>): Promise<Result<'listRevocations'>> {
    return this.#call('listRevocations', params);
  }

  /** The path of a CRL that keyd has put beside its socket. */
  crlFile(name: string): string {
    return join(dirname(this.#path), 'crl', name);
  }

  /** Appends leaf hashes to the log and signs its new checkpoint. */
  signCheckpoint(params: Params<'signCheckpoint'>): Promise<Result<'signCheckpoint'>> {
    return this.#call('signCheckpoint', params);
  }

  /** Commissions, renews or closes a factory node by the order of a quorum. Durable in keyd's journal when it resolves. */
  commissionFactory(params: Params<'commissionFactory'>): Promise<Result<'commissionFactory'>> {
    return this.#call('commissionFactory', params);
  }

  /** The factory nodes of this headquarters. */
  factories(): Promise<Result<'factories'>> {
    return this.#call('factories', {});
  }

  /** The file of a commission that keyd has made before. */
  factoryCommission(params: Params<'factoryCommission'>): Promise<Result<'factoryCommission'>> {
    return this.#call('factoryCommission', params);
  }

  /** Signed evidence of an end of life (YAML). */
  signEvidence(params: Params<'signEvidence'>): Promise<Result<'signEvidence'>> {
    return this.#call('signEvidence', params);
  }

  /** The signed manifest of a backup (canonical JSON). */
  signBackupManifest(params: Params<'signBackupManifest'>): Promise<Result<'signBackupManifest'>> {
    return this.#call('signBackupManifest', params);
  }

  /** Certificates that keyd has signed, in order, for reconciliation with the records. */
  journal(params: Params<'journal'>): Promise<Result<'journal'>> {
    return this.#call('journal', params);
  }

  /** Every policy since the ceremony, the oldest first. */
  policyHistory(): Promise<Result<'policyHistory'>> {
    return this.#call('policyHistory', {});
  }

  /** Puts the next policy in force, with the statements of its quorum. Durable, and at once. */
  changePolicy(params: Params<'changePolicy'>): Promise<Result<'changePolicy'>> {
    return this.#call('changePolicy', params);
  }

  /** Every key that keyd holds, with what was ordered of it. */
  keys(): Promise<Result<'keys'>> {
    return this.#call('keys', {});
  }

  /** Carries out an operator's signed order for a key; durable in keyd's journal when it resolves. */
  changeKey(params: Params<'changeKey'>): Promise<Result<'changeKey'>> {
    return this.#call('changeKey', params);
  }

  /** Opens a keyd that was restored, by the statements of its quorum; durable when it resolves. */
  agreeRestore(params: Params<'agreeRestore'>): Promise<Result<'agreeRestore'>> {
    return this.#call('agreeRestore', params);
  }

  /** Takes out of service what several people ordered; on keyd's lists when it resolves. */
  orderRevocation(params: Params<'orderRevocation'>): Promise<Result<'orderRevocation'>> {
    return this.#call('orderRevocation', params);
  }

  /** Goes on where journal and counter do not agree, by an order that operators signed; durable when it resolves. */
  recount(params: Params<'recount'>): Promise<Result<'recount'>> {
    return this.#call('recount', params);
  }

  /** The consignment of this number of a factory node, or null when nothing has happened. Durable when it resolves. */
  signConsignment(params: Params<'signConsignment'>): Promise<Result<'signConsignment'>> {
    return this.#call('signConsignment', params);
  }

  /** Seals the parcel of a consignment of this factory node. */
  sealParcel(params: Params<'sealParcel'>): Promise<Result<'sealParcel'>> {
    return this.#call('sealParcel', params);
  }

  /** Takes a consignment of a factory in, at headquarters; durable when it resolves. */
  takeConsignment(params: Params<'takeConsignment'>): Promise<Result<'takeConsignment'>> {
    return this.#call('takeConsignment', params);
  }

  /** Carries out what operators decided about a conflict; durable when it resolves. */
  resolve(params: Params<'resolve'>): Promise<Result<'resolve'>> {
    return this.#call('resolve', params);
  }

  /** How far each factory is reconciled, and what waits for people. */
  reconciliation(): Promise<Result<'reconciliation'>> {
    return this.#call('reconciliation', {});
  }

  /** Takes certificates off their hold by an order that operators signed; durable when it resolves. */
  releaseHold(params: Params<'releaseHold'>): Promise<Result<'releaseHold'>> {
    return this.#call('releaseHold', params);
  }

  /** Gives keyd of a factory node newer CRLs of headquarters; durable when it resolves. */
  takeCrls(params: Params<'takeCrls'>): Promise<Result<'takeCrls'>> {
    return this.#call('takeCrls', params);
  }

  /** A time stamp (RFC 3161) of a digest. */
  signTimestamp(params: Params<'signTimestamp'>): Promise<Result<'signTimestamp'>> {
    return this.#call('signTimestamp', params);
  }

  /** What this factory node says of itself to headquarters. */
  signHello(params: Params<'signHello'>): Promise<Result<'signHello'>> {
    return this.#call('signHello', params);
  }

  /** A policy after that of the ceremony, with its approvals. */
  policyUpdate(params: Params<'policyUpdate'>): Promise<Result<'policyUpdate'>> {
    return this.#call('policyUpdate', params);
  }

  /** Ends a sign-on at a station; durable when it resolves. */
  signOff(params: Params<'signOff'>): Promise<Result<'signOff'>> {
    return this.#call('signOff', params);
  }

  /** Signs the indirect CRL of the root: what stands on it is keyd's own word. */
  signRootCrl(): Promise<Result<'signRootCrl'>> {
    return this.#call('signRootCrl', {});
  }

  /** Revokes a CA by an order that operators signed; durable, and at once. */
  revokeCa(params: Params<'revokeCa'>): Promise<Result<'revokeCa'>> {
    return this.#call('revokeCa', params);
  }

  /** Signs firmware by an order that a quorum signed; durable when it resolves. The same order again has the same answer. */
  signFirmware(params: Params<'signFirmware'>): Promise<Result<'signFirmware'>> {
    return this.#call('signFirmware', params);
  }

  /** What was signed: of each order, or of those that one key signed. */
  firmwareSignatures(params: Params<'firmwareSignatures'>): Promise<Result<'firmwareSignatures'>> {
    return this.#call('firmwareSignatures', params);
  }

  /** Signs a trust bundle; durable when it resolves. The same order, or the same filter, has the same bundle again. */
  signTrustBundle(params: Params<'signTrustBundle'>): Promise<Result<'signTrustBundle'>> {
    return this.#call('signTrustBundle', params);
  }

  /** The trust bundles that keyd signed, the oldest first. */
  trustBundles(params: Params<'trustBundles'>): Promise<Result<'trustBundles'>> {
    return this.#call('trustBundles', params);
  }

  /** How it stands with trust bundles: keys, the last one, what is due. */
  trustStatus(): Promise<Result<'trustStatus'>> {
    return this.#call('trustStatus', {});
  }

  /** What a revocation filter must say is revoked. */
  trustRevocations(params: Params<'trustRevocations'>): Promise<Result<'trustRevocations'>> {
    return this.#call('trustRevocations', params);
  }

  /** Of which certificates of an issuer a revocation filter must say whether they are revoked. */
  trustSerials(params: Params<'trustSerials'>): Promise<Result<'trustSerials'>> {
    return this.#call('trustSerials', params);
  }

  /** Whose certificates a revocation filter covers. */
  trustIssuers(): Promise<Result<'trustIssuers'>> {
    return this.#call('trustIssuers', {});
  }

  /** The keys for firmware of the policy in force, with their certificates. */
  firmwareKeys(): Promise<Result<'firmwareKeys'>> {
    return this.#call('firmwareKeys', {});
  }

  /** Kills a firmware key, or brings back a suspended one. */
  orderFirmwareKey(params: Params<'orderFirmwareKey'>): Promise<Result<'orderFirmwareKey'>> {
    return this.#call('orderFirmwareKey', params);
  }

  /** Snapshot and timestamp of an update repository; durable when it resolves, and the same while they are fresh. */
  signTufStatus(params: Params<'signTufStatus'>): Promise<Result<'signTufStatus'>> {
    return this.#call('signTufStatus', params);
  }

  /** The update repositories of the policy in force, with keyd's keys for their roots. */
  tufRepositories(): Promise<Result<'tufRepositories'>> {
    return this.#call('tufRepositories', {});
  }

  /** Ends the connection and wipes the channel key. What still waits fails. */
  close(): void {
    this.#connection.close();
  }

  #call<Op extends OperationName>(op: Op, params: Params<Op>, timeoutMs = this.#timeoutMs): Promise<Result<Op>> {
    return this.#connection.call(op, params, timeoutMs);
  }
}
