/** Something that is to be done at a time, milliseconds since 1970. */
export interface Entry {
  readonly at: number;
  readonly act: () => Promise<void> | void;
}

/** What is to be done, the earliest first: a binary heap. */
export class Agenda {
  readonly #heap: Entry[] = [];

  get size(): number {
    return this.#heap.length;
  }

  /** When the next entry is due; undefined when there is none. */
  get next(): number | undefined {
    return this.#heap[0]?.at;
  }

  add(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || parent.at <= entry.at) break;
      heap[at] = parent;
      heap[above] = entry;
      at = above;
    }
  }

  /** All that is due by `time`, in its order. */
  take(time: number): Entry[] {
    const due: Entry[] = [];
    while (this.next !== undefined && this.next <= time) due.push(this.#pop());
    return due;
  }

  #pop(): Entry {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) throw new RangeError('nothing is on the agenda');
    if (heap.length > 0) this.#sink(last);
    return first;
  }

  #sink(entry: Entry): void {
    const heap = this.#heap;
    for (let at = 0; ; ) {
      const left = 2 * at + 1;
      const right = left + 1;
      const below = (heap[right]?.at ?? Infinity) < (heap[left]?.at ?? Infinity) ? right : left;
      const child = heap[below];
      if (child === undefined || child.at >= entry.at) {
        heap[at] = entry;
        return;
      }
      heap[at] = child;
      at = below;
    }
  }
}
