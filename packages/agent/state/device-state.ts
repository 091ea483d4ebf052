import { join } from 'node:path';
import { type DerCertificate, toHex } from '@keystead/core/bytes';
import { type SecretBytes, type Signer, sha256, spkiSha256 } from '@keystead/core/crypto';
import { KeysteadError } from '@keystead/core/errors';
import { checkDeviceId } from '@keystead/core/x509';
import { deviceCsr, makeKeyAndCsr } from '../enrol/request.ts';
import { type Disk, nodeDisk, replaceFile, UNFINISHED } from './disk.ts';
import { eraseFile } from './erase.ts';
import { bundleFile, filterFile, type HeldTrust, isTrustFile, trustFiles } from './held-trust.ts';
import { DirectoryLock } from './lock.ts';
import {
  type Credential,
  type DeviceKeyAlgorithm,
  decodeManifest,
  encodeManifest,
  type Manifest,
  type Pending,
} from './manifest.ts';
import { Sealer } from './seal.ts';
import { filesToWipe, finishWipe, TOMBSTONE, type WipedFile, type WipeReport, wipeFiles } from './wipe.ts';

/** The part of the state that a credential stands in. */
export type CredentialSlot = 'idevid' | 'current' | 'previous' | 'pending';

/** A credential that can be used: its certificate, and its key for the length of a call. */
export interface DeviceIdentity {
  readonly deviceId: string;
  readonly certificate: DerCertificate;
  readonly chain: readonly DerCertificate[];
  /** Calls `use` with the PKCS#8 key (DER), which is wiped when `use` returns; it must not be kept. */
  withKey<T>(use: (pkcs8: Uint8Array) => T): T;
}

interface Opening {
  /** 32 random bytes that only this device has; a copy is taken. */
  readonly secret: SecretBytes;
  readonly disk?: Disk;
}

const STATE_FILE = 'state';
const keyFile = (keyId: string): string => `key.${keyId}`;
const heldBy = ({ held }: Pending): { held?: true } => (held === true ? { held } : {});

/**
 * A device's keys, certificates and anchors in one directory, sealed by the device secret. Each method that
 * changes something returns when the change is durable, and a power cut at any moment leaves the state before
 * or after it: private keys are written once under their own name, and one manifest, replaced by rename, says
 * which of them count. Opening removes what a cut left over.
 *
 * REQ-KEY-GEN-03: keys are made here and never leave; REQ-KEY-ROT-01: old and new stand side by side.
 */
export class DeviceState {
  readonly #directory: string;
  readonly #disk: Disk;
  readonly #lock: DirectoryLock;
  readonly #sealer: Sealer;
  #manifest: Manifest;
  #closed = false;
  #countedTo: number | undefined;
  #changes = 0;

  private constructor(directory: string, disk: Disk, lock: DirectoryLock, sealer: Sealer, manifest: Manifest) {
    this.#directory = directory;
    this.#disk = disk;
    this.#lock = lock;
    this.#sealer = sealer;
    this.#manifest = manifest;
  }

  /**
   * Makes the state of a new device. `anchors` are the CA certificates (DER) that the device will ever trust
   * until a trust bundle replaces them; they come with the firmware or from the provisioning station.
   * @throws KeysteadError state.exists, state.wiped, state.locked, state.permissions, device.id-malformed.
   */
  static create(
    directory: string,
    opening: Opening & { deviceId: string; anchors: readonly DerCertificate[]; trust?: HeldTrust },
  ): DeviceState {
    const disk = opening.disk ?? nodeDisk;
    checkDeviceId(opening.deviceId);
    disk.makeDirectory(directory);
    return DeviceState.#locked(directory, disk, (lock) => {
      if (disk.mode(join(directory, STATE_FILE)) !== undefined)
        throw new KeysteadError('state.exists', { field: directory });
      const { deviceId, anchors, trust } = opening;
      const sealer = new Sealer(opening.secret);
      const manifest = { deviceId, anchors, intermediates: [], ...(trust === undefined ? {} : { trust }) };
      const state = new DeviceState(directory, disk, lock, sealer, manifest);
      state.#replace(state.#manifest);
      return state;
    });
  }

  /** @throws KeysteadError state.missing, state.damaged, state.wiped, state.locked, state.permissions. */
  static open(directory: string, opening: Opening): DeviceState {
    const disk = opening.disk ?? nodeDisk;
    if (disk.mode(directory) === undefined) throw new KeysteadError('state.missing', { field: directory });
    return DeviceState.#locked(directory, disk, (lock) => {
      const sealed = disk.read(join(directory, STATE_FILE));
      if (sealed === undefined) throw new KeysteadError('state.missing', { field: directory });
      const sealer = new Sealer(opening.secret);
      using plaintext = sealer.open('state', STATE_FILE, sealed);
      const state = new DeviceState(directory, disk, lock, sealer, plaintext.use(decodeManifest));
      state.#tidy();
      return state;
    });
  }

  /**
   * Goes on with a wipe that was begun, before anything is opened or made for this directory.
   * @throws KeysteadError state.wiped where one was, state.locked.
   */
  static requireUnwiped(directory: string, disk: Disk = nodeDisk): void {
    if (disk.mode(join(directory, TOMBSTONE)) === undefined) return;
    const lock = DirectoryLock.take(disk, directory);
    try {
      finishWipe(disk, directory);
    } finally {
      lock.release();
    }
  }

  /**
   * As {@link wipe}, for a state that nothing opens any more: nobody can sign for it. REQ-KEY-WIPE-01
   * @throws KeysteadError state.locked.
   */
  static wipeUnopened(directory: string, deviceId: string, at: Date, disk: Disk = nodeDisk): WipeReport {
    disk.makeDirectory(directory);
    const lock = DirectoryLock.take(disk, directory);
    try {
      const files = filesToWipe(disk, directory, new Map());
      return wipeFiles(disk, directory, { deviceId, at: at.toISOString(), files });
    } finally {
      lock.release();
    }
  }

  static #locked(directory: string, disk: Disk, open: (lock: DirectoryLock) => DeviceState): DeviceState {
    const mode = disk.mode(directory) ?? 0;
    if ((mode & 0o077) !== 0)
      throw new KeysteadError('state.permissions', { field: directory, seen: mode.toString(8) });
    const lock = DirectoryLock.take(disk, directory);
    try {
      finishWipe(disk, directory);
      return open(lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  get deviceId(): string {
    return this.#manifest.deviceId;
  }

  get anchors(): readonly DerCertificate[] {
    return this.#manifest.anchors;
  }

  get intermediates(): readonly DerCertificate[] {
    return this.#manifest.intermediates;
  }

  get pending(): Pending | undefined {
    return this.#manifest.pending;
  }

  /** What the device goes by, and the numbers of its files; undefined for one without a fleet. */
  get trust(): HeldTrust | undefined {
    return this.#manifest.trust;
  }

  /** The number that a hardware counter has to agree with; undefined where none counts. */
  get generation(): number | undefined {
    return this.#manifest.generation;
  }

  /** How many changes that a counter counts were made since the state was opened. */
  get changes(): number {
    return this.#changes;
  }

  /** The credential in a slot; of a pending one only when its certificate has come. */
  credential(slot: CredentialSlot): Credential | undefined {
    if (slot !== 'pending') return this.#manifest[slot];
    const pending = this.#manifest.pending;
    return pending?.issued === undefined ? undefined : { keyId: pending.keyId, ...pending.issued, ...heldBy(pending) };
  }

  /** @throws KeysteadError state.no-credential when the slot is empty. */
  identity(slot: CredentialSlot): DeviceIdentity {
    const credential = this.credential(slot);
    if (credential === undefined) throw new KeysteadError('state.no-credential', { field: slot });
    const { keyId, certificate, chain, held } = credential;
    return {
      deviceId: this.deviceId,
      certificate,
      chain,
      withKey: (use) => {
        this.#checkOpen();
        if (held === true) throw new KeysteadError('state.key-held', { field: slot });
        const sealed = this.#disk.read(join(this.#directory, keyFile(keyId)));
        if (sealed === undefined) throw new KeysteadError('state.damaged', { field: keyFile(keyId), seen: 'no file' });
        using pkcs8 = this.#sealer.open('key', keyFile(keyId), sealed);
        return pkcs8.use(use);
      },
    };
  }

  /**
   * A fresh key and its request, durable before this returns. When a key for this purpose already waits for
   * its certificate, that one is returned: a retry after a lost answer sends the same request, and the server
   * gives the certificate that it has already made.
   */
  async beginKey(purpose: Pending['purpose'], algorithm: DeviceKeyAlgorithm = 'P-256'): Promise<Pending> {
    this.#checkOpen();
    const waiting = this.#manifest.pending;
    if (waiting?.purpose === purpose && waiting.issued === undefined) return waiting;
    const { pkcs8, keyId, csr } = await makeKeyAndCsr(this.deviceId, algorithm);
    this.#checkOpen();
    using key = pkcs8;
    const name = keyFile(keyId);
    replaceFile(
      this.#disk,
      join(this.#directory, name),
      key.use((bytes) => this.#sealer.seal('key', name, bytes)),
    );
    const pending: Pending = { keyId, purpose, csr };
    this.#replace({ ...this.#manifest, pending });
    this.#tidy();
    return pending;
  }

  /**
   * As {@link beginKey}, for a key that stays where it is, in a TPM or secure element: the state keeps its request and
   * certificate, and nobody can be lent the key.
   */
  async beginHeldKey(purpose: Pending['purpose'], signer: Signer): Promise<Pending> {
    this.#checkOpen();
    const keyId = spkiSha256(signer.spki);
    const waiting = this.#manifest.pending;
    if (waiting?.purpose === purpose && waiting.keyId === keyId && waiting.issued === undefined) return waiting;
    const csr = await deviceCsr(this.deviceId, signer);
    this.#checkOpen();
    const pending: Pending = { keyId, purpose, csr, held: true };
    this.#replace({ ...this.#manifest, pending });
    this.#tidy();
    return pending;
  }

  /** Keeps the certificate of the pending key; an IDevID comes into force at once, an LDevID by `promote`. */
  acceptCertificate(issued: Omit<Credential, 'keyId' | 'held' | 'fresh'>): void {
    this.#checkOpen();
    const pending = this.#manifest.pending;
    if (pending === undefined) throw new KeysteadError('state.no-credential', { field: 'pending' });
    if (pending.purpose === 'ldevid') {
      this.#replace({ ...this.#manifest, pending: { ...pending, issued } });
    } else {
      this.#replace({
        ...this.#manifest,
        pending: undefined,
        idevid: { keyId: pending.keyId, ...issued, ...heldBy(pending) },
      });
    }
    this.#tidy();
  }

  /**
   * The pending credential was proven: it becomes the current one, the current one the previous one.
   * @param how `fresh` for one that follows no other in time.
   */
  promote(how: 'renewed' | 'fresh' = 'renewed'): void {
    this.#checkOpen();
    const proven = this.credential('pending');
    if (proven === undefined) throw new KeysteadError('state.no-credential', { field: 'pending' });
    const current: Credential = how === 'fresh' ? { ...proven, fresh: true } : proven;
    this.#replace(this.#counted({ ...this.#manifest, pending: undefined, current, previous: this.#manifest.current }));
    this.#tidy();
  }

  /** Gives the pending key up and destroys it. */
  discardPending(): void {
    this.#checkOpen();
    if (this.#manifest.pending === undefined) return;
    this.#replace({ ...this.#manifest, pending: undefined });
    this.#tidy();
  }

  /** Destroys the previous key. */
  retirePrevious(): void {
    this.#checkOpen();
    if (this.#manifest.previous === undefined) return;
    this.#replace({ ...this.#manifest, previous: undefined });
    this.#tidy();
  }

  /** Keeps CA certificates that the caller has checked against the anchors. */
  keepIntermediates(intermediates: readonly DerCertificate[]): void {
    this.#checkOpen();
    this.#replace({ ...this.#manifest, intermediates });
  }

  /**
   * Goes by another bundle from now on: its files first, then the manifest that names them, then the old files go. A
   * power cut leaves the old bundle with its filter or the new one with its own, never a mixture. REQ-KEY-REV-04
   * @param files bytes by SHA-256, hex: of what `trust` names and is not here yet.
   */
  keepTrust(trust: HeldTrust, files: ReadonlyMap<string, Uint8Array> = new Map()): void {
    this.#checkOpen();
    const keep = (name: string, hash: string): void => {
      const bytes = files.get(hash);
      if (bytes !== undefined) replaceFile(this.#disk, join(this.#directory, name), bytes);
    };
    for (const hash of trust.filters) keep(filterFile(hash), hash);
    if (trust.bundle !== undefined) keep(bundleFile(trust.bundle), trust.bundle);
    this.#replace(this.#counted({ ...this.#manifest, trust }));
    this.#tidy();
  }

  /** The bundle's file. @throws KeysteadError state.damaged when it is not the one that the manifest names. */
  readBundle(hash: string): Uint8Array {
    return this.#readKnown(bundleFile(hash), hash);
  }

  /** One of the filter's files. @throws KeysteadError state.damaged as {@link readBundle}. */
  readFilter(hash: string): Uint8Array {
    return this.#readKnown(filterFile(hash), hash);
  }

  /** From now on the state is counted, and has this number. */
  countFrom(generation: number): void {
    this.#checkOpen();
    this.#countedTo = generation - 1;
    this.#replace({ ...this.#manifest, generation });
  }

  /** What the counter says now; whatever changes next has the next number. */
  countedTo(value: number): void {
    this.#countedTo = value;
  }

  /**
   * Gives up every credential but the IDevID, and the bundle: what an older copy of the state says of them is not believed.
   * They are made anew, and no bundle is taken that is older than `leastVersion`. One step with the new number, or a power
   * cut would leave the older copy with the number of the newest.
   * @param generation undefined where nothing counts.
   */
  startOver(generation: number | undefined, leastVersion: number): void {
    this.#checkOpen();
    const { current: _current, previous: _previous, pending: _pending, trust, ...kept } = this.#manifest;
    const { state, provenTime, leastVersion: known = 0 } = trust ?? {};
    const least = Math.max(leastVersion, known);
    if (generation !== undefined) this.#countedTo = generation - 1;
    this.#replace(
      this.#counted(
        state === undefined || provenTime === undefined
          ? kept
          : { ...kept, trust: { state, filters: [], provenTime, leastVersion: least } },
      ),
    );
    this.#tidy();
  }

  /**
   * Destroys every key and the state, and leaves a tombstone without secrets, so that the device does not start
   * over unnoticed. A wipe that is cut short is finished by the next `open`. See `eraseFile` for what flash
   * memory does not allow to promise. `at` is the time for the report, which carries `evidence` to whoever collects it.
   *
   * REQ-KEY-WIPE-01: the device's part.
   */
  wipe(at: Date, evidence?: string): WipeReport {
    const files = this.filesToWipe();
    const told = { deviceId: this.deviceId, at: at.toISOString(), files };
    const report = wipeFiles(this.#disk, this.#directory, evidence === undefined ? told : { ...told, evidence });
    this.close();
    return report;
  }

  /** What {@link wipe} would destroy: the evidence of it is signed before the key goes. */
  filesToWipe(): WipedFile[] {
    this.#checkOpen();
    const slots = new Map<string, string>();
    for (const slot of ['pending', 'previous', 'idevid', 'current'] as const) {
      const keyId = this.#manifest[slot]?.keyId;
      if (keyId !== undefined) slots.set(keyFile(keyId), slot);
    }
    for (const name of this.trust === undefined ? [] : trustFiles(this.trust)) slots.set(name, 'trust bundle');
    return filesToWipe(this.#disk, this.#directory, slots);
  }

  /** Forgets the secret and frees the directory. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#sealer.wipe();
    this.#lock.release();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #checkOpen(): void {
    if (this.#closed)
      throw new KeysteadError('state.missing', { field: this.#directory, seen: 'a state that was closed' });
  }

  /** One step for all that changes until the counter has counted it. */
  #counted(manifest: Manifest): Manifest {
    this.#changes += 1;
    return this.#countedTo === undefined ? manifest : { ...manifest, generation: this.#countedTo + 1 };
  }

  #readKnown(name: string, hash: string): Uint8Array {
    this.#checkOpen();
    const bytes = this.#disk.read(join(this.#directory, name));
    if (bytes !== undefined && toHex(sha256(bytes)) === hash) return bytes;
    throw new KeysteadError('state.damaged', { field: name, seen: bytes === undefined ? 'no file' : 'other bytes' });
  }

  #replace(manifest: Manifest): void {
    const sealed = this.#sealer.seal('state', STATE_FILE, encodeManifest(manifest));
    replaceFile(this.#disk, join(this.#directory, STATE_FILE), sealed);
    this.#manifest = manifest;
  }

  /** Removes what the manifest does not name (a cut fell between file and manifest), keys by erasing, and unfinished files. */
  #tidy(): void {
    const { idevid, current, previous, pending, trust } = this.#manifest;
    const named = new Set([
      ...[idevid, current, previous, pending].flatMap((slot) => (slot === undefined ? [] : [keyFile(slot.keyId)])),
      ...(trust === undefined ? [] : trustFiles(trust)),
    ]);
    for (const name of this.#disk.list(this.#directory)) {
      // A rival that is just finding out that the directory is locked has a file there as well.
      if (name === TOMBSTONE || name.startsWith('lock')) continue;
      if (name.endsWith(UNFINISHED) || (name.startsWith('key.') && !named.has(name))) {
        eraseFile(this.#disk, join(this.#directory, name));
      } else if (isTrustFile(name) && !named.has(name)) {
        // Public: nothing to write over, which would wear flash for a filter of megabytes.
        this.#disk.unlink(join(this.#directory, name));
      }
    }
  }
}
