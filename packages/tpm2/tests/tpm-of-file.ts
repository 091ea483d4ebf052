import { after, before } from 'node:test';
import { Tpm } from '../tpm.ts';
import { Swtpm } from './swtpm.ts';

/**
 * A TPM for all tests of a file: started before the first, with a connection to it, and ended after the last.
 * @param ready is given both before the first test, and may make what the tests share.
 */
export function tpmOfFile(
  options: { readonly certificates?: boolean },
  ready: (tpm: Tpm, swtpm: Swtpm) => unknown,
): void {
  let swtpm: Swtpm | undefined;
  let tpm: Tpm | undefined;
  before(async () => {
    swtpm = await Swtpm.start(options);
    tpm = await Tpm.open(swtpm.address);
    await ready(tpm, swtpm);
  });
  after(async () => {
    await tpm?.close();
    await swtpm?.stop();
  });
}
