export { type EnrolmentClient, enrolmentClient } from './choose.ts';
export { CmpClient, type CmpOptions } from './cmp-client.ts';
export { CmpRefusal } from './cmp-error.ts';
export { type EnrolAnswer, EstClient, type EstOptions } from './est-client.ts';
export { EstRefusal } from './est-error.ts';
export { acceptIssued, keepCaCertificates } from './issued.ts';
export { provision, type StationAnswer } from './provision.ts';
export { deviceCsr, type KeyAndCsr, makeKeyAndCsr } from './request.ts';
