import { chmodSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import type { DerCrl } from '@keystead/core/bytes';
import { toHex } from '@keystead/core/bytes';
import { type Pieces, type Signer, sha256, signPieces, verifiedPieces } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { type CrlHead, type EntryOctets, TbsCertList } from '@keystead/core/x509';
import { StagedFile } from '../files/staged.ts';
import type { Result } from './protocol.ts';
import { MOST_CRL_IN_ANSWER } from './wire/sign-crl.ts';

type Made = Pick<Result<'signCrl'>, 'crl' | 'file' | 'bytes' | 'sha256'>;

/**
 * Composes CRLs, signs them and puts the long ones where the front end fetches them: in a directory beside the socket,
 * in which keyd alone can write. The list is gone through a few times and never stands in memory as DER, and between
 * two pieces keyd does its other work. REQ-KEY-REV-01
 */
export class CrlMaker {
  readonly #dir: string;
  readonly #fileMode: number;

  /**
   * @param dir made when it is not there; what is left of keyd's last run is removed.
   * @param shared whether the group, which is that of the front end, may read: only where the users are separate.
   */
  constructor(dir: string, shared: boolean) {
    this.#dir = dir;
    this.#fileMode = shared ? 0o640 : 0o600;
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    // Made in a directory with setgid, it is in the front end's group and hands it down.
    chmodSync(dir, shared ? 0o2750 : 0o700);
    for (const name of readdirSync(dir)) rmSync(join(dir, name), { force: true });
  }

  /**
   * A signed CRL that was verified as it was written, since a faulty processor or token must not put its mistakes under
   * a name that others trust.
   * @param list its name.
   * @param entries must be the same each time they are gone through.
   * @throws KeysteadError `keyd.signature-faulty`, `crl.issuer-unfit`; of the signer; Error of node:fs.
   */
  async make(list: string, head: CrlHead, entries: Iterable<EntryOctets>, signer: Signer): Promise<Made> {
    const tbs = new TbsCertList(head, entries);
    const signature = await signPieces(signer, unhurried(tbs.pieces()));
    const verified = verifiedPieces(head.signatureAlgorithm, signer.spki, signature);
    const whole = tbs.signed(signature, (pieces) => verified.through(unhurried(pieces)));
    if (tbs.length <= MOST_CRL_IN_ANSWER) {
      const crl = await gathered(whole);
      requireGood(verified.holds(), head);
      return { crl, bytes: crl.length, sha256: toHex(sha256(crl)) };
    }
    const file = `${list}.crl`;
    const staged = await StagedFile.write(join(this.#dir, file), whole, { mode: this.#fileMode, durable: false });
    try {
      requireGood(verified.holds(), head);
      staged.put();
    } catch (error) {
      staged.discard();
      throw error;
    }
    return { crl: new Uint8Array(0) as DerCrl, file, bytes: staged.bytes, sha256: staged.sha256 };
  }
}

function requireGood(good: boolean, { signatureAlgorithm }: CrlHead): void {
  if (!good) throw new KeysteadError('keyd.signature-faulty', { field: 'signature', seen: signatureAlgorithm });
}

/** Others are served between two pieces. */
async function* unhurried(pieces: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    yield piece;
    await setImmediate();
  }
}

async function gathered(pieces: Pieces): Promise<DerCrl> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(Uint8Array.from(piece));
  return new Uint8Array(Buffer.concat(all)) as DerCrl;
}
