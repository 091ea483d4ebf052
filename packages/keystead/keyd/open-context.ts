import { join } from 'node:path';
import { sameBytes } from '@keystead/core/bytes';
import { KeysteadError } from '@keystead/core/errors';
import { ROOT_CRL_KEY } from '@keystead/core/lifecycle';
import { readCertificate } from '@keystead/core/x509';
import type { SignerOf } from './certificate-authority.ts';
import { KeydContext } from './context.ts';
import type { ContextParts } from './context-parts.ts';
import { openFirmwareKeys } from './firmware-keys.ts';
import { type Hierarchy, lastTranscript } from './hierarchy.ts';
import { cosignName } from './init.ts';
import { Journal } from './journal.ts';
import type { JournalEntry, PolicyJournalEntry } from './journal-entry.ts';
import { isOfKeys, type KeyLedgerEntry } from './key-entries.ts';
import { KeyLedger } from './key-ledger.ts';
import { LogSigner } from './log-signer.ts';
import { PolicyChain } from './policy-chain.ts';
import { takeBroughtStatements } from './restore-agreement.ts';
import { KeydState } from './state.ts';
import { openTrustKeys } from './trust-keys.ts';
import { makeTufKeys } from './tuf-keys.ts';
import { UnitCount } from './unit-count.ts';

/**
 * Opens keyd's files and makes its state again from them.
 * @throws KeysteadError `keyd.journal-damaged`, `policy.chain-broken`, `policy.custody-unmet`, and what the log's
 *   files throw.
 */
export async function openContext(parts: ContextParts): Promise<KeydContext> {
  const { dir, founding, signerOf } = parts;
  const { vkey, cosignVkey } = parts.hierarchy.pins;
  const origin = vkey.slice(0, vkey.indexOf('+'));
  const state = new KeydState();
  state.injections.within(dir);
  const changes: PolicyJournalEntry[] = [];
  const orders: KeyLedgerEntry[] = [];
  const count = new UnitCount(parts.counter?.counter, parts.counter?.base);
  const replay = (entry: JournalEntry): void => {
    state.replay(entry);
    count.replay(entry);
    if (entry.kind === 'policy') changes.push(entry);
    if (isOfKeys(entry)) orders.push(entry);
  };
  const journal = await Journal.open(join(dir, 'journal'), replay, count);
  try {
    await count.start();
    const policies = PolicyChain.open({ dir, published: parts.publishedPolicy }, founding, changes);
    const { keystore, clock } = parts;
    // Before anything is made or signed on a state that was restored.
    await takeBroughtStatements(dir, {
      restores: state.restored,
      policy: policies.inForce.policy,
      logOrigin: origin,
      append: (draft) => journal.append(draft),
      now: () => state.time.at(clock.now()),
    });
    const { policy } = policies.inForce;
    // Whoever restored it alone makes, uses and ends no key of it: what is left to do is done at the first open start.
    const closed = state.restored.pending !== undefined;
    if (!closed) await state.destroyed.finish(keystore);
    // At a factory node there is none: it signs no firmware.
    const certified = parts.hierarchy.firmware;
    const wasProduction = (spki: string): boolean => state.firmwareAdoptions.hasKey(spki);
    const firmware =
      parts.hierarchy.node === undefined
        ? await openFirmwareKeys(dir, keystore, policy, certified, wasProduction, clock.now(), closed)
        : certified;
    if (parts.hierarchy.node === undefined && !closed) {
      await adoptFirmware(parts, state, journal);
      await makeTufKeys(keystore, policy);
      await openTrustKeys(keystore, policy.trust?.keys ?? []);
    }
    const hierarchy = { ...parts.hierarchy, firmware };
    const keys = keystore.list();
    const ledger = new KeyLedger(hierarchy, keys, () => policies.inForce.policy, orders);
    const log = await LogSigner.open(dir, {
      log: { name: origin, signer: signerOf('log') },
      cosigner: { name: cosignName(origin), signer: signerOf('log-cosign') },
      vkey,
      cosignVkey,
    });
    state.time.saw(log.lastTime);
    requireRestoredLog(log, state);
    requireOwnSigner(hierarchy, signerOf);
    // Made at an import, which writes no journal; that of a factory node is by headquarters.
    const issuing = hierarchy.issuers.find(({ ca, current }) => ca === 'server' && current);
    if (hierarchy.node === undefined) {
      state.issued.saw(issuing?.id ?? 'server', readCertificate(hierarchy.evidenceSigner).serial);
    }
    for (const { issuer, certificate } of hierarchy.formerEvidence) {
      state.issued.saw(issuer, readCertificate(certificate).serial);
    }
    return new KeydContext({ ...parts, hierarchy, keys, state, journal, count, log, policies, ledger });
  } catch (error) {
    await journal.close();
    throw error;
  }
}

/**
 * After a restore the log is never shorter than the restore left it: a checkpoint of a smaller tree would be a second
 * history. @throws KeysteadError `keyd.journal-damaged`.
 */
function requireRestoredLog(log: LogSigner, state: KeydState): void {
  if (log.size >= state.lapses.leastLogSize) return;
  throw new KeysteadError('keyd.journal-damaged', {
    field: 'leaves',
    seen: `${log.size} entries, where the restore left ${state.lapses.leastLogSize}`,
  });
}

/** @throws KeysteadError `bundle.foreign`, `keystore.key-missing`. */
function requireOwnSigner({ crlSigner }: Hierarchy, signerOf: SignerOf): void {
  if (crlSigner === undefined || sameBytes(signerOf(ROOT_CRL_KEY).spki, readCertificate(crlSigner).spki)) return;
  const seen = 'a certificate for another key than the keystore has';
  throw new KeysteadError('bundle.foreign', { field: 'crlSigner', seen });
}

/**
 * Writes down which certificates of firmware keys the ceremonies made. Where the clock went back nothing is signed either,
 * and the first order afterwards writes them.
 */
async function adoptFirmware({ hierarchy, clock }: ContextParts, state: KeydState, journal: Journal): Promise<void> {
  const { firmware, pins } = hierarchy;
  try {
    const now = state.time.at(clock.now());
    const ceremony = lastTranscript(pins);
    await state.firmwareAdoptions.take(firmware, { ceremony, now }, (draft) => journal.append(draft));
  } catch (error) {
    if (!(error instanceof KeysteadError) || error.code !== 'clock.went-back') throw error;
  }
}
