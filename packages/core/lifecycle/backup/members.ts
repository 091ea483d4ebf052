import { KeysteadError } from '../../errors/index.ts';

/**
 * What a backup may hold, and nothing else: the directories of public files, and of all others each file by name. What
 * somebody adds elsewhere is out until somebody decides otherwise. No private key is among them, sealed or not, but serve's
 * own TLS keys: the records hold them sealed by a master of keyd's keystore, which is in none (docs/decisions/0064).
 * REQ-KEY-BAK-01
 */
const MAY_HOLD: readonly RegExp[] = [
  /^config\.json$/,
  /^(?:trust|ceremony|crl)\/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/,
  /^keyd\/(?:ceremony\.json|journal|leaves|checkpoint)$/,
  // Keys of units, each encrypted to its unit: nobody else opens one, also not Keystead.
  /^keyd\/injected$/,
  /^keyd\/ceremonies\/[1-9][0-9]{0,3}\/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$/,
  /^keyd\/policies\/[a-z0-9][a-z0-9.-]{0,63}\.json$/,
  // Certificates of keys for development: a key that has one is never certified for production (REQ-KEY-SOD-01).
  /^keyd\/firmware\/[a-z0-9][a-z0-9.-]{0,63}\.pem$/,
  /^keyd\/factories\/[a-z0-9][a-z0-9-]{0,31}-[1-9][0-9]{0,3}\.json$/,
  /^log\/(?:checkpoint|checkpoints)$/,
  /^store\/keystead\.db$/,
  /^master\/keyd$/,
];

/** Names that say what they are, wherever they stand. */
const KEY_FILE = /(?:\.sealed|\.key|\.key\.pem|\.p12|\.pfx|\.p8)$|(?:^|\/)keystore/i;

/**
 * How private keys begin in files: PEM of any kind (RFC 7468, also encrypted), age identities, and the sealed
 * keystore's own format. Looked for in the small files that come from directories. What comes by a schema of ours
 * (records, log, journal) has no place for a key, and its text is partly strangers': a word of theirs must not be
 * able to keep a backup from being made.
 */
const KEY_TEXT = [
  /-----BEGIN [A-Z ]*PRIVATE KEY-----/,
  /AGE-SECRET-KEY-/i,
  /keystead sealed keystore/,
  /-----BEGIN AGE ENCRYPTED FILE-----/,
];

/** The member that holds the passphrase of keyd's sealed keystore. */
export const MASTER_MEMBER = 'master/keyd';

const forbidden = (field: string, seen?: string): KeysteadError =>
  new KeysteadError('backup.signing-key-forbidden', { field, seen });

/** @throws KeysteadError `backup.signing-key-forbidden` for a file of keys, `backup.member-unknown` for another. */
export function requireMember(path: string): void {
  if (KEY_FILE.test(path)) throw forbidden(path);
  if (!MAY_HOLD.some((allowed) => allowed.test(path))) {
    throw new KeysteadError('backup.member-unknown', { field: 'member', seen: path });
  }
}

/** @throws KeysteadError `backup.signing-key-forbidden` when the file holds a private key in a form that is known. */
export function requireNoKey(path: string, bytes: Uint8Array): void {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
  if (KEY_TEXT.some((form) => form.test(text))) throw forbidden(path, 'a private key in it');
}

/** What asking for a backup of signing keys is answered with, however it is asked. REQ-KEY-BAK-01 */
export const refuseKeys = (field: string): KeysteadError => forbidden(field);
