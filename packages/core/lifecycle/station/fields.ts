import { z } from 'zod';
import { hostSan } from '../../x509/index.ts';
import { FACTORY_NAME } from '../factory/name.ts';

/** A station is named as a host is, in lower case: `st-3.line-1.plant.example`. It is never an address. */
export const stationName = z.string().refine((text) => {
  try {
    return hostSan(text) === `DNS:${text}`;
  } catch {
    return false;
  }
}, 'must be a host name of at most 64 characters, in lower case');

/** A line, as tickets name it. */
export const lineName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$/, 'must be 1 to 32 letters, digits, . _ -');

/** Where a station stands: the name of the factory node, or `headquarters`. */
export const siteName = z.string().regex(FACTORY_NAME, 'must be the name of a factory node, or headquarters');

/** UTC, whole seconds. */
export const wholeSecond = z.iso.datetime({ offset: false, precision: 0 });
