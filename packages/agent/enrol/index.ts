export { type AttestingStation, provisionAttested, type StationChallenge } from './attested.ts';
export { type EnrolAnswer, EstClient, type EstOptions } from './est-client.ts';
export { EstRefusal } from './est-error.ts';
export { acceptIssued, keepCaCertificates } from './issued.ts';
export { provision, type StationAnswer } from './provision.ts';
export { deviceCsr, type KeyAndCsr, makeKeyAndCsr } from './request.ts';
export { RestStation, type RestStationOptions, StationRefusal } from './rest-station.ts';
