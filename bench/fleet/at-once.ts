/** Does it for each of the list, `most` at a time. The first that fails ends it. */
export async function atOnce<T>(
  most: number,
  list: readonly T[],
  act: (one: T) => Promise<void> | void,
): Promise<void> {
  let at = 0;
  const worker = async (): Promise<void> => {
    for (let one = list[at++]; one !== undefined; one = list[at++]) await act(one);
  };
  await Promise.all(Array.from({ length: Math.min(most, list.length) }, worker));
}
