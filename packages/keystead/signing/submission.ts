import { toHex } from '@keystead/core/bytes';
import { sha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { claimDifference, type FirmwareFormatName, type FirmwareReading } from '@keystead/core/firmware';
import {
  checkFirmwareOrder,
  type FirmwareEnvironment,
  type FirmwareOrder,
  firmwareKeyOf,
  firmwareLine,
  firmwareQuorum,
  formatKeyOf,
  type Policy,
  requireSuitableKeys,
} from '@keystead/core/lifecycle';
import type { BlobStore } from './blob-store.ts';
import type { SigningDeps } from './deps.ts';
import {
  DOCUMENT_KINDS,
  type DocumentKind,
  type DocumentReading,
  MOST_DOCUMENT_BYTES,
  readDocument,
} from './documents.ts';
import { requireNoPrivateKey, type ScanNotes } from './private-keys.ts';

/** What somebody asks to have signed. Hashes are hex. */
export interface Submission {
  readonly id: string;
  readonly product: string;
  readonly environment: FirmwareEnvironment;
  readonly target: string;
  readonly version: string;
  readonly securityCounter?: number;
  readonly format: FirmwareFormatName;
  readonly keys?: readonly string[];
  readonly image: { readonly sha256: string };
  readonly documents: Readonly<Partial<Record<DocumentKind, string>>>;
  readonly reason: string;
  readonly rollback: boolean;
}

/** A request as people see it before they sign: kept with it, JSON. */
export interface Reading {
  readonly shown: FirmwareReading['shown'];
  readonly documents: readonly DocumentReading[];
  readonly scan: ScanNotes;
}

/**
 * Reads what was submitted and makes the order of it that people sign: the image is hashed, scanned for private keys and
 * read by its format, and what it says of itself must be what the request says of it. Nothing is recorded.
 */
export class Submissions {
  readonly #deps: Pick<SigningDeps, 'policy' | 'formatOf'>;
  readonly #files: BlobStore;
  /** One at a time: hashing and scanning take a core each. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(deps: Pick<SigningDeps, 'policy' | 'formatOf'>, files: BlobStore) {
    this.#deps = deps;
    this.#files = files;
  }

  /** @throws KeysteadError `firmware.*`, `signing.*` with the field. */
  read(asked: Submission): Promise<{ order: FirmwareOrder; reading: Reading }> {
    const next = this.#queue.then(() => this.#read(asked));
    this.#queue = next.catch(() => undefined);
    return next;
  }

  async #read(asked: Submission): Promise<{ order: FirmwareOrder; reading: Reading }> {
    // Before the work: what the policy has no place for is not read.
    const { policy } = this.#deps;
    firmwareQuorum(policy, asked);
    const keys = asked.keys ?? keysFor(policy, asked);
    const format = this.#deps.formatOf(asked.format);
    // A key that the policy has not is keyd's to refuse.
    const known = (policy.firmware?.keys ?? []).filter(({ id }) => keys.includes(id));
    requireSuitableKeys(known, format);
    await using image = await this.#files.read(asked.image.sha256);
    await image.verify();
    const scan = await requireNoPrivateKey(this.#files.path(image.sha256));
    const read = await format.read(image);
    if (read.signatures > 0)
      throw new KeysteadError('firmware.signed-already', { field: 'image', seen: `${read.signatures} signatures` });
    await format.requireRoom?.(image, known.map(formatKeyOf));
    const { product, version } = asked;
    const securityCounter = asked.securityCounter ?? read.securityCounter;
    const differs = claimDifference(format, read, { product, version, securityCounter });
    if (differs !== undefined) {
      const { field, image: its, said } = differs;
      const seen = `${its ?? 'none'} in the image, ${said ?? 'none'} asked for`;
      throw new KeysteadError('firmware-order.claims-differ', { field, seen });
    }
    const documents = await this.#documents(asked);
    const order = checkFirmwareOrder({
      id: asked.id,
      product,
      version,
      environment: asked.environment,
      target: asked.target,
      securityCounter,
      format: asked.format,
      keys: [...keys],
      image: { sha256: image.sha256, bytes: image.size },
      subjectSha256: toHex(sha256(read.subject)),
      documents: DOCUMENT_KINDS.flatMap((name) => {
        const hash = asked.documents[name];
        return hash === undefined ? [] : [{ name, sha256: hash }];
      }),
      reason: asked.reason,
      rollback: asked.rollback,
    });
    return { order, reading: { shown: read.shown, documents, scan } };
  }

  async #documents({ documents, image }: Submission): Promise<DocumentReading[]> {
    const readings: DocumentReading[] = [];
    for (const kind of DOCUMENT_KINDS) {
      const hash = documents[kind];
      if (hash === undefined) continue;
      await using file = await this.#files.read(hash);
      if (file.size > MOST_DOCUMENT_BYTES) {
        throw new KeysteadError('signing.document', {
          field: kind,
          seen: `${file.size} bytes, where ${MOST_DOCUMENT_BYTES} are the most`,
        });
      }
      await file.verify();
      readings.push(readDocument(kind, await file.read(0, file.size), image.sha256));
    }
    return readings;
  }
}

/** The keys of a product and its environment that the policy has for the format. */
function keysFor(policy: Policy, asked: Submission): string[] {
  const { keys } = firmwareLine(policy, asked);
  return keys.filter((id) => firmwareKeyOf(policy, id).formats.includes(asked.format));
}
