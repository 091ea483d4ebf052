import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Check, failed, passed } from '../check.ts';

const LARGEST_SCANNED = 256 * 1024 * 1024;
const CLEAR_PEM = /-----BEGIN (EC |RSA |DSA |OPENSSH |)PRIVATE KEY-----/;
/**
 * The heads of unencrypted private keys in DER: PKCS#8 (RFC 5208) for EC P-256, P-384, Ed25519 and RSA, and SEC 1
 * (RFC 5915) for P-256 and P-384. An encrypted key has an algorithm identifier where these have a version.
 */
const CLEAR_DER = [
  '020100301306072a8648ce3d020106082a8648ce3d030107',
  '020100301006072a8648ce3d020106052b81040022',
  '020100300506032b657004220420',
  '020100300d06092a864886f70d010101050004',
  '30770201010420',
  '3081a40201010430',
].map((hex) => Buffer.from(hex, 'hex'));
/** How base64 of such a DER begins, whole groups only: a log line or a JSON document would hold it so. */
const CLEAR_BASE64 = [
  '308187020100301306072a8648ce3d020106082a8648ce3d030107',
  '3081b6020100301006072a8648ce3d020106052b81040022',
  '302e020100300506032b657004220420',
  '30770201010420',
  '3081a40201010430',
].map((hex) => {
  const head = Buffer.from(hex, 'hex');
  return head.subarray(0, head.length - (head.length % 3)).toString('base64');
});

/** REQ-KEY-STO-02: a scan of everything that Keystead wrote. */
const noClearKeys: Check = {
  id: 'storage.no-clear-keys',
  requirements: ['REQ-KEY-STO-02'],
  text: 'no file of the deployment (state, logs, database, records) holds a private key in the clear',
  async run({ layout }) {
    let files = 0;
    for (const top of [layout.data, layout.offline]) {
      if (!existsSync(top)) continue;
      for (const entry of readdirSync(top, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile()) continue;
        const path = join(entry.parentPath, entry.name);
        const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
        if (size > LARGEST_SCANNED) return failed(`${path} is too large to scan`);
        const bytes = size === 0 ? Buffer.alloc(0) : readFileSync(path);
        const text = bytes.toString('latin1');
        if (CLEAR_PEM.test(text)) return failed(`${path} holds a private key in PEM`);
        if (CLEAR_BASE64.some((head) => text.includes(head))) return failed(`${path} holds a private key in base64`);
        if (CLEAR_DER.some((head) => bytes.includes(head))) return failed(`${path} holds a private key in DER`);
        files += 1;
      }
    }
    return passed(`${files} files scanned for PEM, DER and base64`);
  },
};

/** REQ-KEY-STO-01: what is sealed, or opens a seal, is for its owner alone. */
const permissions: Check = {
  id: 'storage.permissions',
  requirements: ['REQ-KEY-STO-01'],
  text: 'the data, keyd and unlock directories and the sealed files are for their owner alone; a group passes through at most',
  async run({ layout }) {
    const wide: string[] = [];
    const look = (path: string, closed = 0o077): void => {
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat !== undefined && (stat.mode & closed) !== 0) wide.push(`${path} (${(stat.mode & 0o777).toString(8)})`);
    };
    // Where keyd and serve are two users, their group passes through these two, and may list neither.
    for (const path of [layout.data, layout.run]) look(path, 0o067);
    for (const path of [layout.keyd, layout.unlock, layout.offline, layout.operators]) look(path);
    for (const [folder, suffix] of [
      [layout.keyd, '.sealed'],
      [layout.offline, '.sealed'],
      [layout.operators, '.key.pem'],
      [layout.unlock, ''],
    ] as const) {
      if (!existsSync(folder)) continue;
      for (const name of readdirSync(folder)) if (name.endsWith(suffix)) look(join(folder, name));
    }
    return wide.length === 0 ? passed('modes looked at: nothing is open to group or others') : failed(wide.join(', '));
  },
};

export const STORAGE_CHECKS: readonly Check[] = [noClearKeys, permissions];
