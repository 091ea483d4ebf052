import type { CeremonyBundle, CeremonyKind, Detail, Policy } from '@keystead/core/lifecycle';
import type { OfflineRoot } from './hierarchy.ts';
import type { Step } from './session.ts';

/** A ceremony of one kind, made from its inputs before anything is done. */
export interface Plan {
  readonly kind: CeremonyKind;
  readonly number: number;
  /** The policy that was given. */
  readonly policy: Policy;
  readonly policyBytes: Uint8Array;
  /** For the first line of the transcript. */
  readonly begin: Detail;
  /** What happens between the look at the network and the transcript. */
  readonly steps: readonly Step[];
  /** The root that certifies the key of the transcript. @throws before the step that opens it. */
  certifier(): OfflineRoot;
  /** The hierarchy after the last step. */
  bundle(): CeremonyBundle;
  /** Files beside those that follow from the bundle: the request that was answered. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}
