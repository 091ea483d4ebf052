/**
 * The requests whose operations have not ended. What the journal holds of such a request may not be all that it will:
 * what reads the journal asks here.
 */
export class UnderWay {
  readonly #requests = new Map<string, number>();

  has(requestId: string): boolean {
    return this.#requests.has(requestId);
  }

  /** Runs an operation of a request; operations without one are not told of. */
  async during<T>(params: object, work: () => Promise<T>): Promise<T> {
    const requestId = 'requestId' in params ? String(params.requestId) : undefined;
    if (requestId === undefined) return work();
    this.#requests.set(requestId, (this.#requests.get(requestId) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#requests.get(requestId) ?? 1) - 1;
      if (left === 0) this.#requests.delete(requestId);
      else this.#requests.set(requestId, left);
    }
  }
}
