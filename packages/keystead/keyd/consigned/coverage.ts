/** A consignment by its place, and what its node said with it. */
export interface CoveredLink {
  readonly sha256: string;
  /** The hash of the one before; null for the first. */
  readonly previousSha256: string | null;
  /** Every certificate that the node signed until then is in it or in one before it, milliseconds since 1970. */
  readonly until: number | undefined;
}

/**
 * Until when every certificate of a factory is known: what its node says with its newest consignment, where all before
 * that have come too. Of two histories that operators let in, the one of which less is known decides: a certificate may be
 * of either. REQ-KEY-REV-04, REQ-KEY-PROV-01
 */
export class Coverage {
  /** Consignments of which all before them are known, with what was said last by then. */
  readonly #whole = new Map<string, number | undefined>();
  /** Those among them that nothing follows on. */
  readonly #newest = new Set<string>();
  /** Those before which one is missing, by the hash of that. */
  readonly #waiting = new Map<string, CoveredLink[]>();

  take(link: CoveredLink): void {
    const { previousSha256 } = link;
    if (previousSha256 !== null && !this.#whole.has(previousSha256)) {
      this.#waiting.set(previousSha256, [...(this.#waiting.get(previousSha256) ?? []), link]);
      return;
    }
    for (let open = [link]; open.length > 0; ) {
      const next: CoveredLink[] = [];
      for (const { sha256, previousSha256: before, until } of open) {
        this.#whole.set(sha256, until ?? (before === null ? undefined : this.#whole.get(before)));
        if (before !== null) this.#newest.delete(before);
        this.#newest.add(sha256);
        next.push(...(this.#waiting.get(sha256) ?? []));
        this.#waiting.delete(sha256);
      }
      open = next;
    }
  }

  /** Whether all before this one are known. */
  isWhole(sha256: string): boolean {
    return this.#whole.has(sha256);
  }

  /** Milliseconds since 1970; undefined where nobody can say. */
  get until(): number | undefined {
    const said = [...this.#newest].map((sha256) => this.#whole.get(sha256));
    return said.length === 0 || said.includes(undefined) ? undefined : Math.min(...said.map((one) => one ?? 0));
  }
}
