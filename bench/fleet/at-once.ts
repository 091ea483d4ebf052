/** Of a list so many are begun before what they have sent goes out. */
const BEGUN_TOGETHER = 4;

/**
 * Does it for each of the list, `most` at a time. The first that fails ends it. Between some that are begun and the next
 * the event loop turns, so that the other side works on what the first have asked while the next are still making theirs.
 */
export async function atOnce<T>(
  most: number,
  list: readonly T[],
  act: (one: T) => Promise<void> | void,
): Promise<void> {
  let at = 0;
  const worker = async (): Promise<void> => {
    for (let one = list[at++]; one !== undefined; one = list[at++]) await act(one);
  };
  const workers: Promise<void>[] = [];
  let begun: Promise<unknown> = Promise.resolve();
  for (let number = 0; number < Math.min(most, list.length); number += 1) {
    if (number > 0 && number % BEGUN_TOGETHER === 0) begun = begun.then(turn);
    workers.push(begun.then(worker));
  }
  await Promise.all(workers);
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
