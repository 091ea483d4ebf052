import { BlockList, isIP } from 'node:net';
import { z } from 'zod';

/** An address range, as `10.0.0.0/8`. */
const network = z.string().max(64).refine(isNetwork, 'must be an address, a slash and the length of its prefix');
/** A DNS server: an address, and a port unless it is 53. */
const resolver = z
  .string()
  .max(64)
  .refine((text) => {
    const match = /^(?:\[([0-9a-f:.]+)\]|([0-9.]+)|([0-9a-f:.]+))(?::(\d{1,5}))?$/i.exec(text);
    return isIP(match?.[1] ?? match?.[2] ?? match?.[3] ?? '') !== 0;
  }, 'must be an address, with :port where it is not 53');
const port = z.int().min(1).max(65_535);
const seconds = z
  .int()
  .min(1)
  .max(366 * 86_400);
const count = z.int().min(1).max(1_000_000);

/** Where gateways and backends of a hospital or a plant are: RFC 1918 and RFC 4193. */
const PRIVATE_NETWORKS = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];

/** How serve speaks ACME (RFC 8555): the member `acme` of config.json, every part of which may be left out. */
export const AcmeSettingsSchema = z.strictObject({
  enabled: z.boolean().default(true),
  /** What the URLs of the directory begin with, where clients reach serve by another name than config.json has. */
  baseUrl: z
    .string()
    .regex(/^https:\/\/[^/?#\s]+$/, 'must be https:// and a host, with no path')
    .optional(),
  /** The only addresses that a challenge is validated at. Link-local, multicast and 0.0.0.0/8 never are. */
  allowedNetworks: z.array(network).max(64).default(PRIVATE_NETWORKS),
  /** DNS servers; the system's own (and /etc/hosts) where there are none. */
  resolvers: z.array(resolver).max(8).default([]),
  /** Where http-01 and tls-alpn-01 connect to: 80 and 443 (RFC 8555 section 8.3, RFC 8737 section 3). */
  httpPort: port.default(80),
  tlsPort: port.default(443),
  /** How long one try of a challenge may take. */
  tryTimeoutSeconds: z.int().min(1).max(60).default(10),
  /** How long after a failed try the next one comes; after the last of them the challenge is invalid. */
  retrySeconds: z.array(seconds).max(10).default([2, 5, 10]),
  /** How long an order may take. */
  orderSeconds: seconds.default(86_400),
  /** How long an authorization that is valid stays so. */
  authorizationSeconds: seconds.default(86_400),
  /** How long what is over is kept. */
  keepSeconds: seconds.default(30 * 86_400),
  /** PEM files with the CAs of attestation keys, for device-attest-01 in the format `tpm`; paths from the data directory. */
  attestationRoots: z.array(z.string().min(1).max(4096)).max(32).default([]),
  limits: z
    .strictObject({
      /** Orders of one account that are neither finished nor over. */
      openOrders: count.default(100),
      ordersPerHour: count.default(300),
      /** Challenges of one account that failed for good. */
      failuresPerHour: count.default(60),
      /** From one address. */
      accountsPerHour: count.default(60),
      requestsPerMinute: count.default(1200),
    })
    .prefault({}),
});

export type AcmeSettings = z.output<typeof AcmeSettingsSchema>;

function isNetwork(text: string): boolean {
  const [address = '', prefix = '', ...more] = text.split('/');
  const family = isIP(address);
  if (family === 0 || more.length > 0 || !/^\d{1,3}$/.test(prefix)) return false;
  try {
    new BlockList().addSubnet(address, Number(prefix), family === 4 ? 'ipv4' : 'ipv6');
    return true;
  } catch {
    return false;
  }
}
