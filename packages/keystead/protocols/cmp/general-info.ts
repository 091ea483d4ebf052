import {
  type CmpInfo,
  caCertsValue,
  certReqTemplateValue,
  crlsValue,
  INFO_TYPES,
  readCrlStatusList,
  readRootCaCert,
  rootUpdateValue,
} from '@keystead/core/cmp';
import { KeysteadError } from '@keystead/core/errors';
import type { CmpDomain } from './domain.ts';

/** The answer to one question of a general message; without a value where there is nothing (RFC 9483 section 4.3). */
export function informOf(domain: CmpDomain, { type, value }: CmpInfo): CmpInfo {
  switch (type) {
    case INFO_TYPES.caCerts:
      return { type, value: caCertsValue(domain.caCertificates().slice(1)) };
    case INFO_TYPES.rootCaCert: {
      const update = domain.rootUpdate(readRootCaCert(value));
      return { type: INFO_TYPES.rootCaKeyUpdate, value: update === undefined ? undefined : rootUpdateValue(update) };
    }
    case INFO_TYPES.rootCaKeyUpdate:
      // How the question was put before RFC 9483: there is no root to compare with.
      return { type };
    case INFO_TYPES.certReqTemplate:
      return { type, value: certReqTemplateValue(domain.organization()) };
    case INFO_TYPES.crlStatusList: {
      const crls = domain.crls(readCrlStatusList(value));
      return { type: INFO_TYPES.crls, value: crls.length === 0 ? undefined : crlsValue(crls) };
    }
    default:
      throw new KeysteadError('cmp.body-unsupported', { field: 'genm', seen: type });
  }
}
