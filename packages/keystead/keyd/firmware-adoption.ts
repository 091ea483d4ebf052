import type { DerCertificate } from '@keystead/core/bytes';
import { certSha256 } from '@keystead/core/crypto';
import { readCertificate } from '@keystead/core/x509';
import type { FirmwareCertificateJournalEntry } from './firmware-entries.ts';
import type { JournalDraft, JournalEntry } from './journal-entry.ts';

/**
 * The certificates of firmware keys that keyd has taken from ceremonies, by its journal: each has its entry before keyd
 * signs by it. The import, which writes no journal, has verified it by then. REQ-KEY-SOD-01, REQ-KEY-AUD-01
 */
export class FirmwareAdoptions {
  readonly #known = new Map<string, Omit<FirmwareCertificateJournalEntry, 'n'>>();

  replay(entry: JournalEntry): void {
    if (entry.kind === 'firmware-certificate') this.#known.set(entry.certificateSha256, entry);
  }

  /** Whether a ceremony ever certified the key with this SHA-256 of its public key, hex. */
  hasKey(spkiSha256: string): boolean {
    return [...this.#known.values()].some((one) => one.spkiSha256 === spkiSha256);
  }

  /**
   * Writes down what is not yet.
   * @param certificates of production, by the key's id in the policy.
   * @param ceremony SHA-256 of the transcript of the last ceremony that was imported, hex.
   * @throws KeysteadError `keyd.journal-failed`.
   */
  async take(
    certificates: Iterable<readonly [key: string, certificate: DerCertificate]>,
    { ceremony, now }: { readonly ceremony: string; readonly now: Date },
    append: (draft: JournalDraft) => Promise<void>,
  ): Promise<void> {
    for (const [key, certificate] of certificates) {
      const certificateSha256 = certSha256(certificate);
      if (this.#known.has(certificateSha256)) continue;
      const { serial, spkiSha256, notBefore, notAfter } = readCertificate(certificate);
      const entry = {
        time: now.toISOString(),
        kind: 'firmware-certificate' as const,
        key,
        certificateSha256,
        serial,
        spkiSha256,
        notBefore: notBefore.toISOString(),
        notAfter: notAfter.toISOString(),
        transcriptSha256: ceremony,
      };
      await append(entry);
      this.#known.set(certificateSha256, entry);
    }
  }
}
