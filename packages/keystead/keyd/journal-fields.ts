import { z } from 'zod';

export const isoTime = z.iso.datetime({ offset: false });
export const hex = z.string().regex(/^(?:[0-9a-f]{2})+$/);

/** Each entry of keyd's journal is numbered from 1, without gaps. */
export const numbered = { n: z.int().min(1), time: isoTime };
