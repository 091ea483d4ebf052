import { z } from 'zod';
import { certificate, label, requestId, time } from '../wire-types.ts';

/** A sign-on, or an order for a station, as the operator's key signed it. */
const operatorDocument = z.string().min(1).max(20_480);

/** A station's name: a host name of at most 64 characters. */
const station = z.string().regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'must be the name of a station');

/** What shows who stands at the station that a unit comes from. keyd verifies both. */
export const atStation = z.strictObject({
  /** What the station showed in its TLS handshake. */
  certificate,
  /** The sign-on of who works there, as `signSignOn` wrote it. */
  signOn: operatorDocument,
});

/** The order by which a station gets its certificate, as `signStationOrder` wrote it. */
export const stationOrder = operatorDocument;

/** Ends a sign-on before its time. It takes what was allowed and gives nothing, so that whoever asks may. */
export const SignOff = {
  params: z.strictObject({
    signOn: operatorDocument,
    /** Who ends it: the operator, or one who may sign others off. */
    by: label,
    requestId,
  }),
  result: z.strictObject({
    station,
    operator: label,
    line: label,
    /** When; of one that had been ended before, then. */
    at: time,
  }),
};
