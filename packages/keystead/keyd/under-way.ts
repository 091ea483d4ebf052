/**
 * The requests whose operations have not ended. What the journal holds of such a request may not be all that it will:
 * what reads the journal asks here.
 */
export class UnderWay {
  readonly #requests = new Map<string, number>();
  /** When each operation began, milliseconds since 1970. */
  readonly #began = new Set<{ readonly at: number }>();

  has(requestId: string): boolean {
    return this.#requests.has(requestId);
  }

  /** When the oldest of them began, milliseconds since 1970: it dates nothing earlier. Undefined for none. */
  get oldest(): number | undefined {
    return this.#began.size === 0 ? undefined : Math.min(...[...this.#began].map(({ at }) => at));
  }

  /**
   * Runs an operation of a request; operations without one are not told of.
   * @param at the latest time that was seen, milliseconds since 1970; undefined of one that dates no certificate.
   */
  async during<T>(params: object, at: number | undefined, work: () => Promise<T>): Promise<T> {
    const requestId = 'requestId' in params ? String(params.requestId) : undefined;
    if (requestId === undefined) return work();
    this.#requests.set(requestId, (this.#requests.get(requestId) ?? 0) + 1);
    const begun = at === undefined ? undefined : { at };
    if (begun !== undefined) this.#began.add(begun);
    try {
      return await work();
    } finally {
      if (begun !== undefined) this.#began.delete(begun);
      const left = (this.#requests.get(requestId) ?? 1) - 1;
      if (left === 0) this.#requests.delete(requestId);
      else this.#requests.set(requestId, left);
    }
  }
}
