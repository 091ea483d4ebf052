import { open } from 'node:fs/promises';

/**
 * For `node --import`: keyd kills itself when it is about to write the entry of a firmware signature, that is when the
 * order stands in its journal, the signature is made, and nobody has it.
 */
const file = await open('/dev/null');
const handle = Object.getPrototypeOf(file);
await file.close();
const write = handle.write;
handle.write = function (this: unknown, data: unknown, ...rest: unknown[]): unknown {
  if (data instanceof Uint8Array && Buffer.from(data).includes('"kind":"firmware-signature"'))
    process.kill(process.pid, 'SIGKILL');
  return Reflect.apply(write, this, [data, ...rest]);
};
