import { KeysteadError } from '@keystead/core/errors';
import { DeviceTransport } from './device.ts';
import { SocketTransport } from './socket.ts';
import type { Transport } from './transport.ts';

/** Where a TPM is when nobody says so: the kernel's resource manager. */
export const DEFAULT_ADDRESS = 'device:/dev/tpmrm0';

/**
 * The transport of an address: `device:/dev/tpmrm0`, `unix:/run/swtpm.sock`, `tcp:127.0.0.1:2321`.
 * @throws KeysteadError `tpm2.address`, `tpm2.unavailable`.
 */
export async function openTransport(address: string): Promise<Transport> {
  const [, kind, place = ''] = /^(device|unix|tcp):(.+)$/.exec(address) ?? [];
  if (kind === 'device' && place.startsWith('/')) return DeviceTransport.open(place);
  if (kind === 'unix' && place.startsWith('/')) return new SocketTransport(address, { path: place });
  const [, host = '', port = ''] = /^\[?([^[\]]+)\]?:(\d{1,5})$/.exec(place) ?? [];
  if (kind === 'tcp' && host !== '' && Number(port) <= 0xffff) {
    return new SocketTransport(address, { host, port: Number(port) });
  }
  throw new KeysteadError('tpm2.address', { field: 'tpm', seen: address });
}
