import type { RevocationList } from '../crl/list.ts';

/** CRLs of any kind, by the name of who signed them; each once. */
export class RevocationLists {
  readonly #complete = new Map<string, RevocationList[]>();
  readonly #deltas = new Map<string, RevocationList[]>();

  constructor(lists: Iterable<RevocationList> = []) {
    const seen = new Set<string>();
    for (const list of lists) {
      if (seen.has(list.sha256)) continue;
      seen.add(list.sha256);
      const kind = list.baseNumber === undefined ? this.#complete : this.#deltas;
      const known = kind.get(list.issuerKey);
      if (known === undefined) kind.set(list.issuerKey, [list]);
      else known.push(list);
    }
    // The newest first: an older list may still be in its time and does not know what came after it.
    for (const kind of [this.#complete, this.#deltas])
      for (const known of kind.values()) known.sort((a, b) => b.thisUpdate.getTime() - a.thisUpdate.getTime());
  }

  /** Lists of all that they are for. */
  complete(issuerKey: string): readonly RevocationList[] {
    return this.#complete.get(issuerKey) ?? [];
  }

  /** The delta CRLs that carry `base` on (RFC 5280 sections 5.2.4 and 6.3.3 (c)). */
  deltasOf(base: RevocationList): readonly RevocationList[] {
    return (this.#deltas.get(base.issuerKey) ?? []).filter(
      (delta) =>
        delta.aki === base.aki &&
        Buffer.compare(delta.point?.der ?? new Uint8Array(0), base.point?.der ?? new Uint8Array(0)) === 0 &&
        (delta.baseNumber ?? 0n) <= base.number &&
        delta.number > base.number,
    );
  }
}
