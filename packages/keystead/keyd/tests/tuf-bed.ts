import { type DerSpki, toHex } from '@keystead/core/bytes';
import { type Signer, sha256 } from '@keystead/core/crypto';
import {
  envelopeBytes,
  proposeRoot,
  readEnvelope,
  signedBytes,
  type TufRoot,
  type TufSigned,
  type TufTargets,
  tufCommon,
  tufKeyId,
  tufKeyOf,
  tufSubject,
  withSignature,
} from '@keystead/core/firmware';
import type { Policy, TufPolicy } from '@keystead/core/lifecycle';
import { policyFile } from '@keystead/core/lifecycle';
import { PolicyParties, successor } from '../../../core/lifecycle/tests/policy-parties.ts';
import { KeydBed, makeKey, type TestKey } from './bed.ts';

const DAY = 86_400;
export const TUF_REPOSITORY = 'pump';
const RULE: TufPolicy['repositories'][number] = {
  repository: TUF_REPOSITORY,
  keys: [{ id: 'pump-online-1', algorithm: 'P-256' }],
  snapshotSeconds: 7 * DAY,
  timestampSeconds: DAY,
};

/** An envelope of metadata by these keys, as it is published. */
export async function signedMetadata(content: TufSigned, ...by: readonly (TestKey | Signer)[]): Promise<Uint8Array> {
  const subject = tufSubject(content);
  let envelope = readEnvelope(subject);
  for (const one of by) {
    const signer = 'signer' in one ? one.signer : one;
    const signature = await signer.sign(signedBytes(subject));
    envelope = withSignature(envelope, tufKeyId(tufKeyOf(signer.spki)), signature);
  }
  return envelopeBytes(envelope);
}

/**
 * A keyd that holds the online key of a repository, and the people who sign its root and targets: two of three, and one.
 * The policy names the first root from `rooted` on.
 */
export class TufBed {
  readonly keyd: KeydBed;
  readonly parties: PolicyParties;
  readonly root: readonly TestKey[] = [makeKey(), makeKey('P-384'), makeKey('Ed25519')];
  readonly targetsKey = makeKey();
  /** As it is published. */
  first: Uint8Array = new Uint8Array();
  firstRoot: TufRoot | undefined;

  private constructor(keyd: KeydBed, parties: PolicyParties) {
    this.keyd = keyd;
    this.parties = parties;
  }

  /** @param at what keyd's clock says; the machine's time for clients whose clock that is. */
  static async make(at?: Date): Promise<TufBed> {
    const parties = new PolicyParties();
    const keyd = await KeydBed.make({ operators: parties.operators, tuf: { repositories: [RULE] } });
    if (at !== undefined) keyd.clock.set(at);
    const bed = new TufBed(keyd, parties);
    bed.firstRoot = await bed.rootOf([await bed.onlineSpki('pump-online-1')]);
    bed.first = await signedMetadata(bed.firstRoot, ...bed.root.slice(0, 2));
    return bed;
  }

  async onlineSpki(id: string): Promise<DerSpki> {
    const { repositories } = await this.keyd.client.tufRepositories();
    const key = repositories.flatMap(({ keys }) => keys).find((one) => one.id === id);
    if (key?.spki == null) throw new Error(`keyd has no key ${id}`);
    return key.spki as DerSpki;
  }

  /** The root that follows, by these online keys. */
  async rootOf(
    online: readonly DerSpki[],
    { previous, targets = this.targetsKey, days = 365 }: { previous?: TufRoot; targets?: TestKey; days?: number } = {},
  ): Promise<TufRoot> {
    const now = this.keyd.clock.now();
    const roles = {
      root: { keys: this.root.map(({ spki }) => spki), threshold: 2 },
      targets: { keys: [targets.spki], threshold: 1 },
      snapshot: { keys: online, threshold: 1 },
      timestamp: { keys: online, threshold: 1 },
    };
    return proposeRoot(previous, roles, { expires: new Date(now.getTime() + days * DAY * 1000), now });
  }

  /** Targets of one file, signed. */
  targets(version: number, content = 'a file', by: TestKey = this.targetsKey, days = 90): Promise<Uint8Array> {
    const bytes = Buffer.from(content);
    const expires = new Date(this.keyd.clock.now().getTime() + days * DAY * 1000);
    const targets: TufTargets['targets'] = {
      'pump.bin': { length: bytes.length, hashes: { sha256: toHex(sha256(bytes)) }, custom: { product: 'pump' } },
    };
    return signedMetadata({ _type: 'targets', ...tufCommon(version, expires), targets }, by);
  }

  /** Puts another policy in force, by its quorum. */
  async policy(edit: (policy: Policy) => void): Promise<void> {
    const before = policyFile((await this.keyd.client.trust()).policy);
    const next = successor(before, edit);
    const approvals = await this.parties.approvals([before, next], this.keyd.clock.now());
    await this.keyd.client.changePolicy({ policy: next.bytes, approvals, requestId: `policy-${next.policy.version}` });
  }

  /** The policy names the first root. */
  rooted(sha = toHex(sha256(this.first))): Promise<void> {
    return this.policy(({ tuf }) => void Object.assign(tuf?.repositories[0] ?? {}, { root: sha }));
  }

  sign(roots: readonly Uint8Array[], targets: Uint8Array) {
    return this.keyd.client.signTufStatus({ repository: TUF_REPOSITORY, roots: [...roots], targets, requestId: 'r' });
  }

  remove(): Promise<void> {
    return this.keyd.remove();
  }
}
