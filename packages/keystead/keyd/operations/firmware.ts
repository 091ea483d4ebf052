import { type DerCertificate, fromBase64, toBase64, toHex } from '@keystead/core/bytes';
import { sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { claimDifference, type FirmwareFormat, firmwareFormat } from '@keystead/core/firmware';
import {
  type FirmwareOrder,
  type FirmwareTimestamp,
  firmwareKeystoreId,
  firmwareOrderSha256,
  firmwareScheme,
  firmwareTimestamp,
  lineKeys,
  parseFirmwareStatement,
  passkeyUses,
  requireFirmwareQuorum,
  requireSuitableKeys,
  verifyFirmwareStatements,
} from '@keystead/core/lifecycle';
import type { KeydContext } from '../context.ts';
import type { TakenOrder } from '../firmware-orders.ts';
import { type FirmwareSigner, requireFirmwareSigner, requireUsable } from '../firmware-signer.ts';
import { lastTranscript } from '../hierarchy.ts';
import type { Params, Result } from '../protocol.ts';
import { signVerified } from '../sign-verified.ts';
import { requireStampable, stampFirmware } from './stamp-firmware.ts';

/**
 * Signs firmware. keyd verifies each statement by the policy in force now, that they are as many as it asks for, that
 * subject and order agree, that every key may, and that version and security counter do not go back unless a larger
 * quorum says so; writes the order into its journal, composes what is signed itself, verifies the signatures, and writes
 * them down too before anybody has them. The same order again has the same signatures, from the journal: there is never
 * a second one. Where the policy wants them stamped keyd stamps them here, before anybody has them. REQ-KEY-SOD-02,
 * REQ-KEY-STO-03
 * @throws KeysteadError `firmware-order.*`, `firmware-key.*`, `firmware.*`, `key.use-forbidden`,
 *   `key.cryptoperiod-ended`, `approval.passkey-counter`, `clock.went-back`, `signing.timestamp-waits`,
 *   `signing.timestamp-late`, `keyd.journal-failed`, `keyd.signature-faulty`; nothing is given out then. After the last
 *   four, and where the key is stopped meanwhile, the order may count, and may be signed: the same order again goes on.
 */
export function signFirmware(keyd: KeydContext, params: Params<'signFirmware'>): Promise<Result<'signFirmware'>> {
  return keyd.state.firmware.turnstile.alone(async () => {
    const now = keyd.now();
    const { firmware } = keyd.state;
    const { order } = parseFirmwareStatement(params.statements[0] ?? '').content;
    const orderSha256 = firmwareOrderSha256(order);
    const before = firmware.of(orderSha256);
    const wish = firmwareTimestamp(keyd.policy, order);
    if (before?.signed !== undefined) return stampedTell(keyd, orderSha256, wish, params.requestId);
    const agreed = verifyFirmwareStatements(params.statements, keyd.policy, now);
    requireFirmwareQuorum(agreed);
    const format = firmwareFormat(order.format);
    requireSubject(order, params.subject, format);
    const signers = order.keys.map((id) => requireFirmwareSigner(keyd, id, order, now));
    requireSuitableKeys(
      signers.map(({ key }) => key),
      format,
    );
    requireAfterRestore(keyd, params.statements);
    firmware.requireNext(order, orderSha256);
    firmware.requireKnownFloor(order, keyd.state.lapses.forgotAt);
    const passkeys = passkeyUses(params.statements.map(parseFirmwareStatement));
    if (before === undefined) keyd.state.passkeys.require(passkeys);
    if (before === undefined) requireUses(keyd, signers);
    else requireSameKeys(before, signers);
    const at = before === undefined ? now : new Date(before.order.time);
    // What the format cannot sign by such a key is refused before anything is written down.
    const composed = signers.map((one) => ({ ...one, bytes: composeFor(format, params.subject, one, at) }));
    await requireStampable(keyd, wish);
    const adopted = signers.flatMap(({ key, certificate }) =>
      key.environment === 'production' ? [[key.id, certificate] as const] : [],
    );
    const ceremony = lastTranscript(keyd.hierarchy.pins);
    await keyd.state.firmwareAdoptions.take(adopted, { ceremony, now }, (draft) => keyd.journal.append(draft));
    if (before === undefined) {
      const { id, ...facts } = order;
      const entry = {
        time: at.toISOString(),
        kind: 'firmware-order' as const,
        ...facts,
        order: id,
        orderSha256,
        keys: signers.map(({ key, spkiSha256: spki }) => ({ id: key.id, spkiSha256: spki })),
        by: agreed.proposer,
        approvers: [...agreed.approvers],
        ...(passkeys.length === 0 ? {} : { passkeys: [...passkeys] }),
        requestId: params.requestId,
      };
      // Once more: an order about a key, which stands in another queue, may have had the same number meanwhile.
      keyd.state.passkeys.require(passkeys);
      keyd.state.passkeys.take(passkeys);
      await keyd.journal.append(entry);
      firmware.take(entry);
    }
    const signatures = [];
    for (const { key, certificate, signer, bytes } of composed) {
      // A key that was stopped while the journal was written signs nothing any more.
      keyd.ledger.require(firmwareKeystoreId(key.id), 'protect', keyd.now());
      const signature = toBase64(await signVerified(signer, bytes, firmwareScheme(key)));
      signatures.push({
        key: key.id,
        certificate: toBase64(certificate),
        ...(key.signature === undefined ? {} : { scheme: key.signature }),
        signature,
      });
    }
    const signed = { time: keyd.now().toISOString(), orderSha256, signedAt: at.toISOString(), signatures };
    await keyd.journal.append({ kind: 'firmware-signature', ...signed });
    firmware.sign(signed);
    return stampedTell(keyd, orderSha256, wish, params.requestId);
  });
}

/** What is given out: never a signature without its time stamp where the policy in force now requires one. */
async function stampedTell(
  keyd: KeydContext,
  orderSha256: string,
  wish: FirmwareTimestamp,
  requestId: string,
): Promise<Result<'signFirmware'>> {
  await stampFirmware(keyd, orderSha256, wish, requestId);
  const told = tell(keyd.state.firmware.of(orderSha256));
  if (wish === 'required' && told.signatures.some(({ timestamp }) => timestamp === undefined))
    throw new KeysteadError('internal.unexpected', { field: 'timestamp' });
  return told;
}

const composeFor = (format: FirmwareFormat, subject: Uint8Array, { certificate, key }: FirmwareSigner, time: Date) =>
  format.compose(subject, { signer: certificate, chain: [], time, scheme: key.signature });

/**
 * The subject is the one that was approved, of the image that was approved where a subject tells of which image it is, and
 * says nothing else than the order. The hash of the image is what people compare and by which one version is one image: an
 * order with the hash of one image and the subject of another would have keyd sign what nobody has seen.
 * @throws KeysteadError `firmware-order.subject-differs`, `firmware-order.claims-differ`, `firmware.malformed`.
 */
function requireSubject(order: FirmwareOrder, subject: Uint8Array, format: FirmwareFormat): void {
  const seen = toHex(sha256(subject));
  if (seen !== order.subjectSha256)
    throw new KeysteadError('firmware-order.subject-differs', { field: 'subject', seen });
  if (order.image.bytes === 0) throw new KeysteadError('firmware.malformed', { field: 'image', seen: '0 bytes' });
  if (format.isOfImage?.(subject, order.image) === false) {
    const other = `a subject of another image than ${order.image.sha256} of ${order.image.bytes} bytes`;
    throw new KeysteadError('firmware-order.subject-differs', { field: 'image', seen: other });
  }
  const differs = claimDifference(format, format.claims(subject), order);
  if (differs === undefined) return;
  const { field, image, said } = differs;
  const text = `${said ?? 'none'}, where the image says ${image ?? 'none'}`;
  throw new KeysteadError('firmware-order.claims-differ', { field, seen: text });
}

/**
 * Orders that were carried out after a backup are forgotten with its restore: none of that time is carried out again.
 * @throws KeysteadError `firmware-order.before-restore`, `firmware-order.before-recount`.
 */
function requireAfterRestore(keyd: KeydContext, statements: readonly string[]): void {
  for (const text of statements)
    keyd.state.lapses.requireAfterRestore(
      { notBefore: parseFirmwareStatement(text).content.signedAt },
      'firmware-order',
    );
}

/** @throws KeysteadError `firmware-key.exhausted`. */
function requireUses(keyd: KeydContext, signers: readonly FirmwareSigner[]): void {
  for (const { key, spkiSha256: spki } of signers) {
    const uses = keyd.state.firmware.uses(spki);
    if (key.maxSignatures === undefined || uses < key.maxSignatures) continue;
    throw new KeysteadError('firmware-key.exhausted', { field: 'keys', seen: `${key.id}, after ${uses} orders` });
  }
}

/** An order that was taken before a stop goes on with the keys that it was taken for. */
function requireSameKeys({ order }: TakenOrder, signers: readonly FirmwareSigner[]): void {
  const other = signers.find((one, at) => one.spkiSha256 !== order.keys[at]?.spkiSha256);
  if (other === undefined) return;
  throw new KeysteadError('firmware-key.scope', { field: 'keys', seen: `${other.key.id}, which is another key now` });
}

function tell(taken: TakenOrder | undefined): Result<'signFirmware'> {
  if (taken?.signed === undefined) throw new KeysteadError('internal.unexpected', { field: 'firmware' });
  const { order, time, by, approvers } = taken.order;
  const { signedAt, signatures } = taken.signed;
  return {
    order,
    at: new Date(time),
    by,
    approvers,
    signatures: signatures.map(({ key, certificate, scheme, signature }) => ({
      key,
      ...(scheme === undefined ? {} : { scheme }),
      signer: fromBase64(certificate) as DerCertificate,
      chain: [],
      time: new Date(signedAt),
      signature: fromBase64(signature),
      ...timestampOf(taken, key),
    })),
  };
}

function timestampOf({ stamps }: TakenOrder, key: string): { readonly timestamp?: Uint8Array } {
  const timestamp = stamps?.get(key);
  return timestamp === undefined ? {} : { timestamp };
}

/**
 * What was signed, the oldest first. Of a key that is compromised it is the worklist: each image that its signature
 * makes a device believe, to be signed again by another key that devices believe. REQ-KEY-ROT-02
 */
export async function firmwareSignatures(
  keyd: KeydContext,
  { key, from, limit }: Params<'firmwareSignatures'>,
): Promise<Result<'firmwareSignatures'>> {
  const { firmware } = keyd.state;
  const all = firmware.list();
  const believed = believedKeys(keyd);
  const found = all.filter(({ order }) => key === undefined || order.keys.some(({ id }) => id === key));
  const orders = found.slice(from, from + limit).map(({ order, signed }) => ({
    ...told(order),
    at: new Date(order.time),
    signed: signed !== undefined,
    signedAgain: key === undefined ? null : firmware.signedAgain(order, key, believed),
    goesBack: firmware.goesBack(order),
  }));
  const next = from + orders.length;
  return { orders, next, end: next >= found.length };
}

/**
 * The SHA-256 of the public keys that devices are to believe, by the policy in force: what a key has signed that was killed,
 * or that is in no anchor any more, stands for no image.
 */
function believedKeys({ policy, ledger }: KeydContext): ReadonlySet<string> {
  const ids = (policy.firmware?.keys ?? []).flatMap((key) => {
    const { signs, trusted } = lineKeys(policy, key);
    return signs.includes(key.id) || trusted.includes(key.id) ? [firmwareKeystoreId(key.id)] : [];
  });
  const held = ledger.list().filter(({ info }) => ids.includes(info.id));
  const alive = held.filter(({ changes }) => !changes.some(({ change }) => change === 'compromise'));
  return new Set(alive.map(({ spkiSha256: spki }) => spki));
}

/** Without what the journal alone has: a replayed entry carries its number and kind. */
function told<T extends { readonly time: string; readonly passkeys?: unknown }>(
  entry: T,
): Omit<T, 'n' | 'kind' | 'time' | 'passkeys'> {
  const {
    n: _n,
    kind: _kind,
    time: _time,
    passkeys: _passkeys,
    ...rest
  } = entry as T & { n?: unknown; kind?: unknown };
  return rest;
}

/** The keys for firmware of the policy in force, and why one of them signs nothing. */
export async function firmwareKeys(keyd: KeydContext): Promise<Result<'firmwareKeys'>> {
  const now = keyd.now();
  const keys = keyd.policy.firmware?.keys ?? [];
  // A key that the policy has named since the start is made at the next one.
  const made = keys.filter(({ id }) => keyd.ledger.has(firmwareKeystoreId(id)));
  return {
    keys: made.map((key) => {
      const { id, algorithm, signature, product, environment, formats, maxSignatures } = key;
      const certificate = keyd.hierarchy.firmware.get(id) ?? null;
      const keystoreId = firmwareKeystoreId(id);
      const spki = spkiSha256(keyd.signerOf(keystoreId).spki);
      return {
        ...{ id, keystoreId, algorithm, product, environment, formats: [...formats] },
        ...(signature === undefined ? {} : { signature }),
        certificate,
        spkiSha256: spki,
        ...keyd.ledger.standing(keystoreId, now),
        orders: keyd.state.firmware.uses(spki),
        maxSignatures: maxSignatures ?? null,
        refused: whyNot(() => requireUsable(keyd, key, now)),
      };
    }),
  };
}

function whyNot(look: () => unknown): string | null {
  try {
    look();
    return null;
  } catch (error) {
    if (error instanceof KeysteadError) return error.message;
    throw error;
  }
}
