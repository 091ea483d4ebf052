import { statfs } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { toBase64 } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { piecesOf } from '@keystead/core/firmware';
import type { Permission } from '@keystead/core/lifecycle';
import { actorOf, type OperatorClient } from '../access/index.ts';
import type { Result } from '../keyd-client/index.ts';
import type { Caller } from '../protocols/rest/domain.ts';
import type { SigningCaller, SigningContent, SigningDomain } from '../protocols/rest/signing.ts';
import { type AskedBy, type OpenBlob, Worklist } from '../signing/index.ts';
import type { Rooms } from './rooms.ts';

/** The largest image that is kept, octets. */
const MOST_IMAGE_BYTES = 8 * 1024 ** 3;
/** What an upload leaves of the disk: without room for the records nothing else could be done. */
const LEAST_FREE_BYTES = 512 * 1024 ** 2;
/** After so many octets of an upload the disk is asked again: others write too, and not every upload tells its length. */
const LOOKED_AFTER_BYTES = 32 * 1024 ** 2;

/** REST's view of firmware signing: who may submit, sign and look. */
export function signingDomain(
  rooms: Rooms,
  operator: (caller: Caller, permission: Permission, what: string) => Promise<OperatorClient>,
): SigningDomain {
  const { access, signing, workloads, layout } = rooms;
  const worklist = new Worklist(rooms.keyd, rooms.store, signing.files, () => rooms.policy);

  /** An operator, or a workload by its token: submitting is all that a workload may do. */
  async function submitter(caller: SigningCaller, what: string): Promise<AskedBy & { products?: readonly string[] }> {
    const { token, requestId } = caller;
    if (token === undefined) {
      const client = await operator(caller, 'signing.request', what);
      return { actor: actorOf(client), requestId };
    }
    const { id, products } = await identified(token, { requestId, what });
    return { actor: { kind: 'workload', id }, requestId, products };
  }

  /** Who may look: an operator at all, a workload at what it submitted. */
  async function reader(caller: SigningCaller, what: string, id?: string): Promise<void> {
    const { token, requestId } = caller;
    if (token === undefined) {
      await operator(caller, 'signing.read', what);
      return;
    }
    const workload = await identified(token, { requestId, what });
    if (id === undefined || signing.submitterOf(id) === `workload:${workload.id}`) return;
    const error = new KeysteadError('signing.workload-forbidden', {
      field: id,
      seen: `${workload.id} did not submit it`,
    });
    await access.refused(error, { requestId, what }, { kind: 'workload', id: workload.id });
    throw error;
  }

  async function identified(token: string, asked: { requestId: string; what: string }) {
    try {
      return await workloads.identify(token);
    } catch (error) {
      if (error instanceof KeysteadError) await access.refused(error, asked);
      throw error;
    }
  }

  /** No token gives a look at what others signed, or a voice. Who tries it by one alone is named in the log. */
  async function person(caller: SigningCaller, permission: Permission, what: string): Promise<OperatorClient> {
    const { token, certificate, requestId } = caller;
    if (token !== undefined && certificate === undefined) {
      const { id } = await identified(token, { requestId, what });
      const error = new KeysteadError('signing.workload-forbidden', { field: 'token', seen: `${id}, to ${what}` });
      await access.refused(error, { requestId, what }, { kind: 'workload', id });
      throw error;
    }
    return operator({ certificate: caller.certificate, requestId: caller.requestId }, permission, what);
  }

  const content = (file: OpenBlob): SigningContent => {
    const stream = Readable.from(piecesOf(file), { objectMode: false });
    stream.once('close', () => void file[Symbol.asyncDispose]());
    return { bytes: file.size, sha256: file.sha256, stream };
  };

  return {
    async admitSigningFile(caller, bytes) {
      const { actor, requestId } = await submitter(caller, 'upload for signing');
      const error = await refusalOfSize(bytes, layout.data);
      if (error === undefined) return;
      await access.refused(error, { requestId, what: 'upload for signing' }, actor);
      throw error;
    },
    async keepSigningFile(caller, sha256, pieces) {
      const { actor, requestId } = await submitter(caller, 'upload for signing');
      try {
        const bounded = leavingRoom(pieces, () => roomIn(layout.data));
        return await signing.keep(bounded, { most: MOST_IMAGE_BYTES, expected: sha256 }, { actor, requestId });
      } catch (error) {
        if (error instanceof KeysteadError)
          await access.refused(error, { requestId, what: 'upload for signing' }, actor);
        throw error;
      }
    },
    async signingFile(caller, sha256) {
      await reader(caller, 'look up a file for signing');
      const bytes = signing.sizeOf(sha256);
      if (bytes === undefined) throw new KeysteadError('signing.image-unknown', { field: 'sha256', seen: sha256 });
      return { sha256, bytes };
    },
    async signingContent(caller, sha256) {
      await person(caller, 'signing.read', 'fetch a file for signing');
      return content(await signing.verified(sha256));
    },
    async requestSigning(caller, body) {
      const { products, ...by } = await submitter(caller, 'request a firmware signature');
      if (products !== undefined && !products.includes(body.product)) {
        const error = new KeysteadError('signing.workload-forbidden', { field: 'product', seen: body.product });
        await access.refused(error, { requestId: by.requestId, what: 'request a firmware signature' }, by.actor);
        throw error;
      }
      return signing.submit(body, by);
    },
    async signingRequests(caller, after) {
      await person(caller, 'signing.read', 'list firmware requests');
      return signing.list(after);
    },
    async signingRequest(caller, id) {
      await reader(caller, 'show a firmware request', id);
      return signing.show(id);
    },
    async addSigningStatement(caller, id, statement) {
      // Whose signature it is decides; who brings it is one of those who sign such things.
      const client = await person(caller, 'signing.sign', 'sign a firmware request');
      return signing.add(id, statement, { actor: actorOf(client), requestId: caller.requestId });
    },
    async withdrawSigning(caller, id) {
      const client = await person(caller, 'signing.request', 'withdraw a firmware request');
      return signing.withdraw(id, { actor: actorOf(client), requestId: caller.requestId });
    },
    async signingKeys(caller) {
      await person(caller, 'signing.read', 'list firmware keys');
      return worklist.keys();
    },
    async signingWorklist(caller, key, from) {
      await person(caller, 'signing.read', 'list what a firmware key signed');
      return worklist.page(key, from);
    },
    async orderSigningKey(caller, statements) {
      const what = 'order firmware key';
      const client = await person(caller, 'firmware-key.sign', what);
      try {
        const { at, ...done } = await rooms.keys.orderFirmware(statements, caller.requestId);
        return { ...done, at: at.toISOString(), next: nextOf(done) };
      } catch (error) {
        if (error instanceof KeysteadError && error.kind !== 'unavailable')
          await access.refused(error, { requestId: caller.requestId, what }, client);
        throw error;
      }
    },
    async signingResult(caller, id) {
      await reader(caller, 'fetch what was signed', id);
      return content(await signing.result(id));
    },
    async signingTimestamps(caller, id) {
      await reader(caller, 'fetch what was signed', id);
      const timestamps = signing.timestamps(id).map(({ key, signature, token }) => ({
        key,
        signature: toBase64(signature),
        token: toBase64(token),
      }));
      return { timestamps };
    },
  };
}

/** The commands that follow on the end of a key, as they are typed: its certificate is the offline root's to revoke. */
function nextOf({
  change,
  key,
  keystoreId,
  certificateSerial,
}: Pick<Result<'orderFirmwareKey'>, 'change' | 'key' | 'keystoreId' | 'certificateSerial'>): string[] {
  if (change !== 'kill') return [];
  const revoke = `keystead ceremony crl --revoke ${keystoreId} --reason keyCompromise --previous DIR --offline DIR --out DIR`;
  return [...(certificateSerial === null ? [] : [revoke]), `keystead sign worklist --key ${key} --open`];
}

/** Before the first octet: what would be refused, or would fill the disk, is not read. */
async function refusalOfSize(bytes: number | undefined, directory: string): Promise<KeysteadError | undefined> {
  if (bytes !== undefined && bytes > MOST_IMAGE_BYTES) {
    return new KeysteadError('signing.image-too-large', { field: 'Content-Length', seen: `${bytes} bytes` });
  }
  return refusalOfRoom(bytes ?? 0, await roomIn(directory));
}

/** What may still be kept, octets; negative where the disk has less than is left alone. */
async function roomIn(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize - LEAST_FREE_BYTES;
}

function refusalOfRoom(bytes: number, room: number): KeysteadError | undefined {
  if (bytes <= room) return undefined;
  const seen = `${bytes} bytes, with room for ${Math.max(0, room)}`;
  return new KeysteadError('signing.no-space', { field: 'body', seen });
}

/** What comes, as long as the disk has room for it. @throws KeysteadError `signing.no-space`. */
export async function* leavingRoom(
  pieces: AsyncIterable<Uint8Array>,
  room: () => Promise<number>,
): AsyncGenerator<Uint8Array> {
  let left = 0;
  for await (const piece of pieces) {
    if (piece.length > left) {
      const now = await room();
      const error = refusalOfRoom(piece.length, now);
      if (error !== undefined) throw error;
      left = Math.min(now, LOOKED_AFTER_BYTES);
    }
    left -= piece.length;
    yield piece;
  }
}
